"""The command line: each command is a few lines over the library, in a file of its own, and imported only when it is used."""

import sys
from collections.abc import Sequence

import cyclopts

from graphreid import __version__

app = cyclopts.App(
    name="graphreid",
    help="Instance retrieval made better with graph context: from images to embeddings to a re-ranked gallery.",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)
data = cyclopts.App(name="data", help="Make and check data folders: DIR/manifest.parquet and the images it names.")
app.command(data)
data.command("graphreid.cli.data:import_", name="import")
data.command("graphreid.cli.data:check")
data.command("graphreid.cli.render:render")
gallery = cyclopts.App(name="gallery", help="A gallery on disk that grows while it is searched.")
app.command(gallery)
for _name in ("create", "add", "remove", "search", "explain", "info", "calibrate", "export"):
    gallery.command(f"graphreid.cli.gallery:{_name}")
app.command("graphreid.cli.serve:serve")
app.command("graphreid.cli.train:train")
app.command("graphreid.cli.import_checkpoint:import_checkpoint")
app.command("graphreid.cli.embed:embed")
app.command("graphreid.cli.parts:parts")
app.command("graphreid.cli.export:export")
app.command("graphreid.cli.compare:compare")
app.command("graphreid.cli.calibrate:calibrate")
app.command("graphreid.cli.features:features")
app.command("graphreid.cli.fit:fit")
app.command("graphreid.cli.rerank:rerank")
app.command("graphreid.cli.evaluate:evaluate")
app.command("graphreid.cli.methods:methods")
app.command("graphreid.cli.reproduce:reproduce")
app.command("graphreid.cli.runs:runs")
app.command("graphreid.cli.demo:demo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. A user's error is one line on standard error and exit code 2, never a traceback."""
    try:
        result = app(
            list(sys.argv[1:] if arguments is None else arguments),
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
    except KeyboardInterrupt:
        print("graphreid: interrupted; the same command goes on where it can", file=sys.stderr)
        return 130
    return result if isinstance(result, int) else 0


def _refuse(line: str) -> int:
    print(f"graphreid: {line}", file=sys.stderr)
    return 2
