"""HRNet from pixels: a BoT network whose features are trained together with the two graphs over
them.

The paper's total loss (Eq. 14): L_cl and L_tr are the network's own, on the features before any
batch norm that the graphs get too; L_in, L_pa and L_c are those of the graphs
(`methods.hrnet.losses`), and their gradients flow into the network.
"""

from collections.abc import Mapping
from typing import Any, cast

from graphreid.methods.hrnet.losses import RelationObjective
from graphreid.methods.hrnet.method import HRNet
from graphreid.methods.hrnet.options import Training
from graphreid.models.bot import PRESETS, BoT
from graphreid.options import build, flat_options

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
GRAPHS: dict[str, Mapping[str, Any]] = {"small": {}, "paper": HRNet.PAPER, "hrnet": HRNet.PAPER}
"""The options of the graphs that go with each."""
FILE = "hrnet.safetensors"
"""The trained graphs, a re-ranker, in the run's folder."""


def graph_options(graphs: HRNet) -> dict[str, Any]:
    """The options of the graphs by flat name, without those of their own training: here they are
    trained as the network is.
    """
    own_training = flat_options(Training())
    return {name: value for name, value in flat_options(graphs).items() if name not in own_training}


def split_settings(preset: str, given: Mapping[str, Any]) -> tuple[HRNet, dict[str, Any]]:
    """The graphs that are trained along, not trained yet, and the settings of the network.

    Args:
        preset: of SETTINGS.
        given: settings of either; of a name that both have it is the network's.

    Raises:
        ValueError: a value that an option of the graphs can't have.
    """
    known = graph_options(HRNet())
    of_network = flat_options(BoT())
    own = {name: value for name, value in given.items() if name in known and name not in of_network}
    preset_options = {name: value for name, value in GRAPHS[preset].items() if name in known}
    graphs = build(HRNet, **(preset_options | own))
    return graphs, {name: value for name, value in given.items() if name not in own}


def take_trained(graphs: HRNet, embedder: BoT, *, images: int, identities: int) -> None:
    """Give the graphs what was trained along with the embedder, and the facts of it.

    Args:
        graphs: whose `objective` was the embedder's `beside`.
        embedder: after its fit.
        images: that it was trained on.
        identities: that these show.
    """
    objective = cast(RelationObjective, embedder.trained.beside)
    graphs.learned(objective.relations)
    history = embedder.trained.history
    graphs.record_ = {
        "images": images,
        "identities": identities,
        "epochs": len(history),
        "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
        "precision": embedder.trained.precision,
        "with_the_embedder": True,
    }
