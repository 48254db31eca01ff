"""The command line: each command is a few lines over the library, in a file of its own, and
imported only when it is used.
"""

import sys
from collections.abc import Sequence

import cyclopts

from graphreid import __version__
from graphreid.extras import missing_extra_message

app = cyclopts.App(
    name="graphreid",
    help="Instance retrieval made better with graph context: from images to embeddings to a "
    "re-ranked gallery.",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)
data = cyclopts.App(
    name="data", help="Make and check data folders: DIR/manifest.parquet and the images it names."
)
gallery = cyclopts.App(name="gallery", help="A gallery on disk that grows while it is searched.")
app.command(data)
papers = cyclopts.App(
    name="papers",
    help="The papers' tables and figures, made on your data, and the store of their results.",
)
app.command(gallery)
app.command(papers)

FORMER = {"reproduce": "papers reproduce", "runs": "papers runs", "--out": "--results"}
"""Commands of version 0.1, and an option of theirs, by today's names; version 0.3 won't know
them.
"""

COMMANDS = {
    "data import": ("data:import_", "Make a data folder of your images, or of a public set."),
    "data check": ("data:check", "Look for what would spoil a training or a test."),
    "data render": (
        "render:render",
        "Render the synthetic set: toy figures that walk past several cameras.",
    ),
    "gallery create": ("gallery:create", "Make a gallery on disk."),
    "gallery add": ("gallery:add", "Add the images of features files to a gallery."),
    "gallery remove": ("gallery:remove", "Remove images from a gallery, all or none."),
    "gallery search": ("gallery:search", "Search a gallery, each query by itself."),
    "gallery explain": (
        "gallery:explain",
        "Show a method's graph of one query: its images, the strongest edge to each, and their "
        "ranks before and after.",
    ),
    "gallery info": ("gallery:info", "Say what a gallery holds."),
    "gallery calibrate": (
        "gallery:calibrate",
        "Choose the threshold beyond which a query is unknown, for one method, on labelled "
        "queries.",
    ),
    "gallery export": ("gallery:export", "Write a gallery as a features file."),
    "serve": (
        "serve:serve",
        "Serve a gallery over HTTP, with a viewer for a browser at the same address.",
    ),
    "train": ("train:train", "Train an embedder on a data folder's train split."),
    "import-checkpoint": (
        "import_checkpoint:import_checkpoint",
        "Make a run of another toolkit's checkpoint, for 'graphreid embed'.",
    ),
    "embed": (
        "embed:embed",
        "Turn images into vectors with a trained run, in the order of the manifest.",
    ),
    "parts": (
        "parts:parts",
        "Show what a run with parts sees in images: foreground, parts, the graph among them, and "
        "how they came about.",
    ),
    "export": (
        "export:export",
        "Write a run's network as ONNX, and as OpenVINO if wanted, and check its vectors against "
        "torch's.",
    ),
    "compare": (
        "compare:compare",
        "Say how similar two images are to a run, and whether they show one identity where the run "
        "was calibrated.",
    ),
    "calibrate": (
        "calibrate:calibrate",
        "Choose the distance up to which two images are taken for one identity, for 'graphreid "
        "compare'.",
    ),
    "features": (
        "features:features",
        "Make a features file of vectors and a table, row by row; or of another toolkit's feature "
        "file.",
    ),
    "fit": ("fit:fit", "Fit a method that learns, on embeddings with identities."),
    "rerank": (
        "rerank:rerank",
        "Rank a gallery for each query. No labels are needed, and none that the files hold are "
        "used.",
    ),
    "evaluate": (
        "evaluate:evaluate",
        "Evaluate methods on labelled queries and gallery: mAP, mINP and CMC, with bootstrap "
        "intervals and paired differences.",
    ),
    "methods": (
        "methods:methods",
        "Every re-ranking method: its settings, what it starts from, whether it uses cameras, and "
        "its options with defaults.",
    ),
    "papers list": (
        "papers:list_",
        "List the papers' tables and figures, what each needs, and whether it can be made here.",
    ),
    "papers reproduce": (
        "reproduce:reproduce",
        "Make the papers' tables and figures on your data, their numbers and ours side by side.",
    ),
    "papers show": ("papers:show", "Show a table that was made, as Markdown, CSV, LaTeX or JSON."),
    "papers claims": ("papers:claims", "Check the papers' claims against the runs of a store."),
    "papers runs": ("papers:runs", "List the runs of a store, oldest first, or compare two."),
    "papers pages": ("papers:pages", "Write the pages of a store anew."),
    "demo": (
        "demo:demo",
        "Render pictures, train a network, embed, fit, re-rank with every method there is for BoT, "
        "and write report.html.",
    ),
}
"""Each command's function, and the first line of its docstring: lists of commands show it without
importing anything.
"""
for _words, (_function, _line) in COMMANDS.items():
    *_group, _name = _words.split()
    (app[_group[0]] if _group else app).command(
        f"graphreid.cli.{_function}", name=_name, help=_line
    )


def command_of(words: Sequence[str]) -> cyclopts.App:
    """The command, or group of commands, that a command line begins with; its help is its whole
    docstring.
    """
    names, apps, _ = app.parse_commands(list(words))
    at = next(
        (count for count in range(len(names), 0, -1) if " ".join(names[:count]) in COMMANDS), 0
    )
    if at:
        apps[at].help = None  # in place of the line for lists
    return apps[at]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. A user's error is one line on standard error and exit code 2, never a
    traceback.
    """
    given = _renamed(list(sys.argv[1:] if arguments is None else arguments))
    try:
        command_of(given)
        result = app(
            given,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except cyclopts.CycloptsError as error:
        return _refuse(f"{' '.join(str(error).split())} (graphreid --help)")
    except ValueError as error:
        return _refuse(" ".join(str(error).split()))
    except OSError as error:
        return _refuse(f"{error.filename or 'the system'}: {error.strerror or error}")
    except ImportError as error:
        line = missing_extra_message(error)
        if line is None:
            raise
        return _refuse(line)
    except KeyboardInterrupt:
        print("graphreid: interrupted; the same command goes on where it can", file=sys.stderr)
        return 130
    return result if isinstance(result, int) else 0


def _renamed(given: list[str]) -> list[str]:
    """A command line in which a former command has its name of today; a line says so."""
    if not given or given[0] not in FORMER:
        return given
    today = FORMER[given[0]]
    if today == "papers reproduce" and given[1:] in ([], ["--list"]):
        today = "papers list"
        given = given[:1]
    print(f"graphreid: '{given[0]}' is '{today}' now", file=sys.stderr)
    return [*today.split(), *(FORMER.get(word, word) for word in given[1:])]


def _refuse(line: str) -> int:
    print(f"graphreid: {line}", file=sys.stderr)
    return 2
