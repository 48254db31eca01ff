"""`graphreid import-checkpoint`."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from graphreid.atomic_files import whole_folder
from graphreid.cli.calibrate import digest
from graphreid.datasets.images import Resample
from graphreid.datasets.manifest import read_manifest
from graphreid.models import save_embedder
from graphreid.models.backbones import WeightMatch
from graphreid.models.checkpoints.architectures import Feature, Pooling, StemPool, ToolkitNetwork
from graphreid.models.checkpoints.imported import ImportedEmbedder
from graphreid.models.checkpoints.loading import load_matching, parse_checkpoint
from graphreid.models.checkpoints.parameter_names import ParsedCheckpoint
from graphreid.models.checkpoints.tensors import read_state
from graphreid.seeding import seeded
from graphreid.training.run_folder import MODEL, IdentitySplit, open_run, split_identities

_LISTED = 20
"""Names of a kind that are printed."""


def import_checkpoint(
    file: Annotated[
        Path, Parameter(help="the checkpoint, .pth, .pth.tar or .safetensors; nothing in it is run")
    ],
    /,
    *,
    layout: Annotated[
        Literal["bot", "torchreid", "fast-reid", "layumi"],
        Parameter(help="the toolkit that wrote it"),
    ],
    out: Annotated[Path, Parameter(help="the run's new folder")],
    height: Annotated[int | None, Parameter(help="of the images, if not the toolkit's 256")] = None,
    width: Annotated[int | None, Parameter(help="of the images, if not the toolkit's 128")] = None,
    last_stride: Annotated[
        Literal[1, 2] | None, Parameter(help="of the ResNet's last stage, if not the toolkit's")
    ] = None,
    stem_relu: Annotated[
        bool | None, Parameter(help="whether a ReLU follows the stem, if not as in the toolkit")
    ] = None,
    stem_pool: Annotated[
        StemPool | None, Parameter(help="the stem's max-pooling, if not the toolkit's")
    ] = None,
    pooling: Annotated[
        Pooling | None, Parameter(help="of the last maps, where the file does not say it")
    ] = None,
    gem_power: Annotated[
        float | None, Parameter(help="of --pooling gem, where the file has none")
    ] = None,
    feature: Annotated[
        Feature | None, Parameter(help="the vector after the neck, or the pooled one before it")
    ] = None,
    resample: Annotated[
        Resample | None, Parameter(help="how images are resized, if not as in the toolkit")
    ] = None,
    flip: Annotated[
        bool | None,
        Parameter(help="average with the mirror image's vector, if not as the toolkit does"),
    ] = None,
    trained_on: Annotated[
        Path | None, Parameter(help="the data folder whose train split it was trained on")
    ] = None,
    allow_partial: Annotated[
        bool, Parameter(negative="", help="take it although not all weights match")
    ] = False,
) -> None:
    """Make a run of another toolkit's checkpoint, for 'graphreid embed'.

    It says which names matched and which did not; a partial match is an error unless it is allowed.
    What the file cannot say, such as the size of the images, is taken as the toolkit has it by
    default, and printed.
    """
    given = {
        "height": height,
        "width": width,
        "last_stride": last_stride,
        "stem_relu": stem_relu,
        "stem_pool": stem_pool,
        "pooling": pooling,
        "gem_power": gem_power,
        "feature": feature,
        "resample": resample,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if (height is None) != (width is None):
        raise ValueError("the size of the images needs both --height and --width")
    if gem_power is not None and not gem_power > 0:
        raise ValueError(f"--gem-power is {gem_power}: it must be positive")
    identities = (
        IdentitySplit((), (), (), held_out=False) if trained_on is None else _trained_on(trained_on)
    )
    state = read_state(file)
    try:
        reading = parse_checkpoint(layout, state, changes)
        with seeded(0):  # only what a partial match leaves is random
            network = ToolkitNetwork(reading.anatomy)
        matched = load_matching(
            network,
            reading,
            state,
            allow_partial=allow_partial,
            on_match=lambda match: _report(file, reading, match),
        )
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    embedder = ImportedEmbedder(
        **vars(reading.anatomy), flip_average=layout == "layumi" if flip is None else flip
    ).adopt(network)
    config: dict[str, Any] = {
        "embedder": "imported",
        "title": reading.title,
        "source": {"file": file.name, "digest": digest(file)},
        "matched": {
            "loaded": len(matched.loaded),
            "missing": list(matched.missing),
            "unused": list(matched.unused),
        },
        "assumed": dict(reading.assumed),
        "fields": embedder.fields(),
    }
    with whole_folder(out) as folder:
        open_run(folder, config, identities)
        save_embedder(embedder, folder / MODEL)
    if trained_on is None:
        print(
            "whom it was trained on is not known, so 'embed' marks nobody as seen (--trained-on "
            "DATA)"
        )
    print(f"{out}: complete; {network.neck.num_features} entries a vector")


def _report(file: Path, reading: ParsedCheckpoint, matched: WeightMatch) -> None:
    print(f"{file}: {reading.title}")
    parts = Counter(name.partition(".")[0] for name in matched.loaded)
    print(
        f"matched: {len(matched.loaded)} "
        f"({', '.join(f'{part} {count}' for part, count in parts.items()) or 'nothing'})"
    )
    beginnings = ", ".join(
        f"{beginning}*" if beginning.endswith(".") else beginning
        for beginning in reading.ignored_prefixes
    )
    print(f"not needed for vectors: {beginnings or 'nothing'}")
    for what, names in (
        ("missing in the file", matched.missing),
        ("of no use in the network", matched.unused),
    ):
        print(f"{what}: {len(names) or 'nothing'}")
        for name in names[:_LISTED]:
            print(f"  {name}")
        if len(names) > _LISTED:
            print(f"  and {len(names) - _LISTED} more")
    for key, words in reading.assumed.items():
        print(f"assumed: {key.replace('_', '-')} {words} (--{key.replace('_', '-')})")


def _trained_on(data: Path) -> IdentitySplit:
    manifest = read_manifest(data)
    rows = manifest.rows("train")
    rows = rows[manifest.role[rows] == "normal"]
    if not len(rows):
        raise ValueError(f"{data}: all train images are junk or distractors")
    return split_identities(manifest.identity[rows], 0, 0)
