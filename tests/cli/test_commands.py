"""The command line as a person meets it."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from vireid.cli import main
from vireid.cli.app import app


def commands(group: typer.core.TyperGroup, prefix: str = "") -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """All commands by their full name."""
    for name, command in group.commands.items():
        full = f"{prefix}{name}"
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, f"{full} ")
        else:
            yield full, command


EVERY = dict(commands(get_command(app)))


def run(
    *arguments: str | Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `vireid ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["vireid", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_an_example_that_begins_with_itself(name: str) -> None:
    text = EVERY[name].help or ""
    assert f"Example: vireid {name}" in text


@pytest.mark.parametrize("name", EVERY)
def test_every_option_is_explained(name: str) -> None:
    parameters = EVERY[name].params
    unexplained = [
        p.name for p in parameters if isinstance(p, typer.core.TyperOption) and not p.help and p.name != "help"
    ]
    assert not unexplained


def test_help_imports_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from vireid.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'pydantic', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_misspelt_command_or_option_is_answered_with_the_nearest() -> None:
    runner = CliRunner()
    found = runner.invoke(app, ["evalute"])
    assert found.exit_code == 2
    assert "evaluate" in found.output
    found = runner.invoke(app, ["evaluate", "x", "--protocl", "y"])
    assert found.exit_code == 2
    assert "--protocol" in found.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "agw-syzu"], 2, "unknown recipe 'agw-syzu'; did you mean 'agw-sysu'"),
        (["train", "agw-sysu"], 2, "add data.root=PATH"),
        (["train", "agw-sysu", "data.root=/nowhere"], 1, "/nowhere"),
        (["evaluate", "/nowhere"], 1, "/nowhere is no bundle"),
        (["methods", "show", "awg"], 2, "did you mean 'agw'"),
        (["data", "show", "/nowhere"], 1, "/nowhere"),
        (["data", "synthesize", "x", "--layout", "sisu"], 2, "did you mean 'sysu'"),
        (["data", "synthesize", "x", "--preset", "tini"], 2, "did you mean 'tiny'"),
        (["data", "synthesize", "x", "--knockout", "no_such"], 2, "no_such"),
        (["search", "x.jpg", "--modality", "infrared", "--gallery", "/nowhere"], 1, "there is no gallery at /nowhere"),
        (["index", "/nowhere", "--modality", "visible", "--bundle", "/nowhere", "--out", "g"], 1, "/nowhere"),
        (["recipes", "show", "agw"], 2, "unknown recipe 'agw'"),
    ],
)
def test_a_wrong_use_is_one_clear_message_and_leaves_nothing(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*arguments, capsys=capsys, monkeypatch=monkeypatch)
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_lists_speak_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (
        ["methods", "list", "--json"],
        ["methods", "show", "agw", "--json"],
        ["recipes", "list", "--json"],
    ):
        code, out, _ = run(*arguments, capsys=capsys, monkeypatch=monkeypatch)
        assert code == 0
        assert "agw" in json.dumps(json.loads(out))


def test_method_options_are_explained_for_people(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("methods", "show", "agw", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert "weighted | squared" in out.replace("\n", " ")
    assert "two-stream resnet with gem pooling" in out.lower()
    assert re.search(r"sysu +│ all-single-agw +│ 47\.50 +│ 47\.65", out)
    assert "CAJ: Ye, Ruan, Du, Shou" in out
    assert "recipes: agw-caj-llcm, agw-caj-regdb" in out
    code, out, _ = run("methods", "show", "aminet", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert "upper_body.proportion" in out
    assert "fixed | softmax_min | softmax_max" in out.replace("\n", " ")


def test_a_shipped_recipe_is_printed_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vireid.training.recipe import recipe_text

    code, out, _ = run("recipes", "show", "agw-sysu", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, out) == (0, recipe_text("agw-sysu"))


WITHOUT_TORCH = "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'timm', 'accelerate')))\n"


def test_readers_metrics_and_gallery_work_without_torch(tiny_sysu: Path) -> None:
    program = f"""{WITHOUT_TORCH}
from vireid.data import open_dataset
from vireid.evaluation import rank
from vireid.gallery import Gallery
from vireid.matching import k_reciprocal
from vireid.methods import names
from vireid.methods.bundle import Bundle
dataset = open_dataset("sysu", {str(tiny_sysu)!r})
trial = next(iter(dataset.protocol("all-single-agw").trials()))
identity = dataset.images.identity.to_numpy()
query, gallery = identity[trial.query], identity[trial.gallery]
result = rank((query[:, None] == gallery[None]).astype("f4"), query, gallery, invalid=trial.invalid, cmc="identity")
print(result.cmc[0], result.mAP, 'agw' in names())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1.0 1.0 True"


def test_training_without_torch_says_what_to_install() -> None:
    program = f"{WITHOUT_TORCH}sys.argv = ['vireid', 'train', 'agw-sysu']\nfrom vireid.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("run: pip install 'vireid[train]'")


WAITING = """
import signal, sys, time
from vireid.cli.app import app, main
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a shell's background job
@app.command()
def wait(seconds: int) -> None:
    print("ready", flush=True)
    time.sleep(seconds)
sys.argv = ["vireid", *sys.argv[1:]]
main()
"""


def test_ctrl_c_says_so_and_exits_with_130() -> None:
    command = [sys.executable, "-c", WAITING, "wait", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "vireid: stopped; what was done is kept\n")


def test_a_wrong_use_keeps_its_frame_and_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", WAITING, "wait", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: vireid wait" in done.stderr
    assert "╭" in done.stderr or "Error" in done.stderr


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (PermissionError(13, "Permission denied", "/x/figures.json"), "vireid: /x/figures.json: Permission denied\n"),
        (OSError("the connection was lost"), "vireid: the connection was lost\n"),
    ],
)
def test_a_file_that_cannot_be_had_is_one_line(
    raised: OSError, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise raised

    monkeypatch.setattr("vireid.methods.names", fail)
    assert run("methods", "list", capsys=capsys, monkeypatch=monkeypatch) == (1, "", told)
