"""HRNet from pixels: a BoT network whose features are trained together with the two graphs over
them.

The paper's total loss (Eq. 14): L_cl and L_tr are the network's own, on the features before any
batch norm that the graphs get too; L_in, L_pa and L_c are those of the graphs, and their gradients
flow into the network.
"""

from collections.abc import Mapping
from typing import Any

from graphreid.models.bot import PRESETS

_ALL: Mapping[str, Any] = {
    # graphs and retrieval see f_t; batches of 11 identities with 6 images; no center loss
    "neck": False,
    "batch_identities": 11,
    "batch_images": 6,
    "center_weight": 0,
}
SETTINGS: dict[str, Mapping[str, Any]] = {
    "small": {**PRESETS["small"], **_ALL},
    "paper": {**PRESETS["hrnet"], **_ALL},
    "hrnet": {**PRESETS["hrnet"], **_ALL},
}
"""The network's settings by the preset's name."""
GRAPHS: dict[str, str | None] = {"small": None, "paper": "paper", "hrnet": "paper"}
"""The preset of the re-ranker's that goes with each; None for its defaults."""
OWN = (
    "rate",
    "weight_decay",
    "schedule",
    "epochs",
    "patience",
    "noise",
    "calibrate",
    "precision",
    "seed",
    "batches",
    "identities",
    "images",
)
"""Options of the re-ranker that are about its own training; here it is trained as the network
is.
"""
FILE = "hrnet.safetensors"
"""The trained graphs, a re-ranker, in the run's folder."""
