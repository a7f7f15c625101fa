"""What README and docs tell the reader to type works: commands, settings, make targets, Python blocks, links."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from reference_pages import command_parser

from unipose_ros.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts and "generated" not in page.parts]
#: Stand for what the reader puts there.
PLACEHOLDERS = {"NETWORK": "points", "RECIPE": "weak_points", "FORMAT": "bag", "DATASET": "itop", "N": "3"}
#: Records the arguments of these programs; everything else of a block is not found, and so does nothing.
PROGRAMS = ("unipose", "make", "python", ".venv/bin/unipose", "ros2")


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Language, text and the HTML comment before each block of code, fenced or indented."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"(?:<!-- *(.*?) *-->\n+)?^```(\w*)[^\n]*\n(.*?)^```", text, re.M | re.S):
        yield found[2] or "sh", found[3], found[1] or ""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for found in re.finditer(r"(?:^\n)((?:^    (?![-*|]).*\n)+)", outside, re.M):
        yield "sh", re.sub(r"^    ", "", found[1], flags=re.M), ""


def shell(page: Path) -> str:
    """All shell blocks of a page, so that variables of one are known in the next."""
    return "\n".join(text for language, text, _ in blocks(page) if language in {"sh", "bash", "console"})


def mentioned(page: Path) -> list[list[str]]:
    """Words of the commands within the text: a name and some options, rarely all that a command needs."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [line.split() for line in re.findall(r"`((?:unipose|make) [^`\n]+)`", text)]


def typed(page: Path, folder: Path) -> list[list[str]]:
    """Arguments of every program that a block has the reader start, as bash splits and expands them."""
    functions = "".join(f"function {name} {{ printf '%s\\x1f' {name} \"$@\"; printf '\\x1e'; }}\n" for name in PROGRAMS)
    script = "command_not_found_handle() { :; }\n" + functions + shell(page) + "\n"
    bash = subprocess.run(
        ["/bin/bash", "--norc", "-c", script], cwd=folder, env={"PATH": "/nonexistent"},
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = [line.split("\x1f")[:-1] for line in bash.stdout.split("\x1e")]
    return [[PLACEHOLDERS.get(word, word) for word in line] for line in lines if line and line[0] in PROGRAMS]


ids = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_are_understood(page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in typed(page, tmp_path):
        program, arguments = Path(line[0]).name, line[1:]
        try:
            if program == "unipose":
                check_unipose(arguments)
            elif program == "make":
                check_make(arguments)
            elif program == "python":
                check_python(arguments)
            elif program == "ros2":
                check_ros2(arguments)
        except (SystemExit, AssertionError, ValueError, RuntimeError, ImportError) as error:
            pytest.fail(f"{shlex.join(line)}: {error} {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_mentioned_commands_and_options_are_there(page: Path) -> None:
    for program, *words in mentioned(page):
        if program == "make":
            check_make([word for word in words if re.fullmatch(r"[a-z-]+|[A-Z]+=\S*", word)])
        elif words[0] not in {"COMMAND", "...", "RECIPE"}:
            assert words[0] in COMMANDS, f"unipose {words[0]}: there is {', '.join(COMMANDS)}"
            options = options_of(command_parser(COMMANDS[words[0]].module))
            unknown = {word for word in words if word.startswith("--")} - options
            assert not unknown, f"unipose {words[0]} has no {unknown}"


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """All options of a parser and of the subcommands below it."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    below = [options_of(inner) for group in groups for inner in group.choices.values()]
    return set(parser._option_string_actions).union(*below)


def check_unipose(arguments: list[str]) -> None:
    """The command is there and its parser takes the arguments; a recipe's configuration takes the settings."""
    if not arguments or arguments[0].startswith("-"):
        return
    assert arguments[0] in COMMANDS, f"there is {', '.join(COMMANDS)}"
    parser = command_parser(COMMANDS[arguments[0]].module)
    if arguments[0] != "train":
        parser.parse_args(arguments[1:])
        return
    from unipose_training.engine.config import load_config
    from unipose_training.recipes.command import get_recipe

    given = parser.parse_intermixed_args(arguments[1:])
    if given.recipe:
        shipped = ROOT / "config" / "training" / f"{given.recipe}.yaml"
        load_config(get_recipe(given.recipe).load()[0], shipped if shipped.exists() else None, given.settings)


def check_make(arguments: list[str]) -> None:
    """Targets and variables are in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in (word for word in arguments if not word.startswith("-")):
        name, is_variable, _ = word.partition("=")
        known = rf"\$\({name}\)|if \$\({name}\)" if is_variable else rf"^{re.escape(name)}:"
        assert re.search(known, makefile, re.M), f"the Makefile has no {name}"


def check_python(arguments: list[str]) -> None:
    """Modules and scripts are where the pages have them."""
    import importlib.util

    if arguments[:1] == ["-m"]:
        if arguments[1].startswith("unipose"):
            assert importlib.util.find_spec(arguments[1]), "no such module"
    elif arguments and arguments[0].endswith(".py"):
        assert (ROOT / arguments[0]).is_file(), "no such file"


def check_ros2(arguments: list[str]) -> None:
    """Our launch file declares the arguments, our nodes are installed under these names."""
    if arguments[:2] == ["launch", "unipose_ros"]:
        declared = (ROOT / "launch" / arguments[2]).read_text(encoding="utf-8")
        for word in arguments[3:]:
            if ":=" in word:
                assert f'"{word.split(":=")[0]}"' in declared, f"{arguments[2]} has no {word}"
    if arguments[:2] == ["run", "unipose_ros"]:
        assert f"{arguments[2]}" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), "not installed"


PYTHON = [
    (page, number, text, note)
    for page in PAGES
    for number, (language, text, note) in enumerate(blocks(page))
    if language == "python" and not note.startswith("skip")
]


@pytest.mark.parametrize(
    ("page", "text"), [(page, text) for page, _, text, _ in PYTHON],
    ids=[f"{page.relative_to(ROOT)}-{number}" for page, number, *_ in PYTHON],
)  # fmt: skip
def test_python_blocks_run(page: Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    if "itop" in text:
        from layouts import itop

        itop.write(tmp_path / "itop", split="train")
        names["root"] = tmp_path / "itop"
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    exec(compile(text, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if "generated" in file.parts:
            continue  # written by the build, which checks it
        assert file.exists(), f"{target} leads nowhere"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{target}: {file.name} has no such heading"


def anchors(page: Path) -> set[str]:
    """Anchors of headings as GitHub and myst make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = (re.sub(r"[`*]|\[|\]\([^)]*\)", "", title) for title in re.findall(r"^#+ +(.*)$", text, re.M))
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.strip().lower())) for title in titles}


RELIABILITY = ROOT / "docs" / "reference" / "reliability.md"
#: Groups of complaints, and cases, that the page must have a row of.
GROUPS = [f"R-{letter}" for letter in "ABCDEFGHIJKL"]
CASES = [f"{kind}{number}" for kind, last in (("F", 13), ("C", 3), ("H", 6), ("M", 12), ("A", 10), ("L", 13))
         for number in range(1, last + 1)]  # fmt: skip


def reliability_rows() -> list[list[str]]:
    lines = RELIABILITY.read_text(encoding="utf-8").partition("## Fuzzing")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if not set(row[0]) <= set("-") and row[0] not in ("", "group")]


def test_reliability_names_every_complaint_and_tests_that_exist() -> None:
    rows = reliability_rows()
    named = [name.strip() for row in rows for name in row[0].split(",")]
    assert [group for group in GROUPS if not any(name.startswith(f"{group} ") for name in named)] == []
    assert [case for case in CASES if case not in named] == []
    for row in rows:
        tests = re.findall(r"(surface )?`([^`]+)`", row[-1])
        assert tests, f"{row[0]}: no test"
        for surface, name in tests:
            if surface:
                assert any(f'"{name}"' in path.read_text() for path in (ROOT / "test/helpers/fuzzing").glob("*.py")), (
                    name
                )
                continue
            file, _, function = name.partition("::")
            path = ROOT / "test" / "unipose_ros" / file
            assert path.exists(), f"{row[0]}: {name}"
            assert not function or f"def {function}(" in path.read_text(encoding="utf-8"), f"{row[0]}: {name}"
