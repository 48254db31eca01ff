"""Small trees of tiny images, below a folder whose name looks like a file's, with what systems
leave behind.
"""

import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image

STRAY = ("._{}", "Thumbs.db", ".DS_Store")


@cache
def picture(kind: str, value: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 8), (value % 256, 0, 0)).save(stream, kind)
    return stream.getvalue()


def tree(root: Path, names: Iterable[str], stray: bool = True) -> Path:
    """Files ROOT/run_1_c2/NAME; the folder run_1_c2."""
    top = root / "run_1_c2"
    for value, name in enumerate(names):
        file = top / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture("PNG" if file.suffix == ".png" else "JPEG", value))
        for pattern in STRAY if stray else ():
            (file.parent / pattern.format(file.name)).write_bytes(b"\0\5\26\7")
    return top


MARKET = (
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0002_c3s1_000551_00.jpg",
    "bounding_box_train/0007_c2s3_071052_01.jpg",
    "query/0001_c1s1_001051_00.jpg",
    "query/0001_c2s1_000301_00.jpg",
    "bounding_box_test/-1_c1s1_000401_03.jpg",
    "bounding_box_test/0000_c1s1_000151_01.jpg",
    "bounding_box_test/0001_c3s1_000551_00.jpg",
    "bounding_box_test/0001_c6s1_009601_00.jpg",
)
DUKE = (
    "bounding_box_train/0001_c2_f0046182.jpg",
    "bounding_box_train/0001_c5_f0051341.jpg",
    "query/0005_c2_f0046985.jpg",
    "bounding_box_test/0005_c5_f0051781.jpg",
    "bounding_box_test/0000_c8_f0051781.jpg",
)
CUHK = (
    "bounding_box_train/0001_c1_1.png",
    "bounding_box_train/0001_c2_2.png",
    "query/0003_c1_21.png",
    "bounding_box_test/0003_c2_26.png",
)
VERI = (
    "image_train/0001_c001_00016450_0.jpg",
    "image_train/0001_c014_00016460_0.jpg",
    "image_query/0002_c002_00030600_0.jpg",
    "image_query/0005_c003_00077625_0.jpg",
    "image_test/0002_c002_00030600_0.jpg",
    "image_test/0002_c003_00030705_0.jpg",
    "image_test/0005_c020_00077825_1.jpg",
)
MSMT = {
    "train": ("0000/0000_000_01_0303morning_0015_0.jpg", "0001/0001_003_14_0303noon_0015_1.jpg"),
    "val": ("0000/0000_001_05_0303morning_0020_0.jpg",),
    "query": ("0000/0000_004_02_0302morning_0107_0.jpg",),
    "gallery": (
        "0000/0000_005_15_0302morning_0110_1.jpg",
        "0001/0001_001_01_0302morning_0200_2_ex.jpg",
    ),
}


def msmt(root: Path, below: str = "MSMT17_V1", train: str = "train", test: str = "test") -> Path:
    """The lists and folders of MSMT17 at ROOT/run_1_c2/BELOW."""
    names = [
        f"{below}/{train if part in ('train', 'val') else test}/{name}"
        for part, held in MSMT.items()
        for name in held
    ]
    top = tree(root, names)
    for part, held in MSMT.items():
        lines = [f"{name} {int(name[:4])}\n" for name in held]
        (top / below / f"list_{part}.txt").write_text("".join(lines))
    return top
