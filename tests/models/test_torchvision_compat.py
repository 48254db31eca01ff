import subprocess
import sys


def test_timm_and_transforms_import_after_the_guard():
    code = (
        "from graphreid.models.torchvision_compat import patch_torchvision; patch_torchvision(); "
        "patch_torchvision(); import timm; "
        "from torchvision.transforms import v2"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
