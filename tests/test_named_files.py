"""What a page or a docstring names is there: files of the project, pages and their sections, configuration keys."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ringrift_loop.config.leaves import leaves, sections

ROOT = Path(__file__).parents[1]
FILES = [
    line
    for line in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()
    if (ROOT / line).exists()
]  # fmt: skip
# What docs/7-extending.md makes; its own test follows what stands in the blocks.
MADE = re.findall(r"^\+\+\+ (\S+)$", (ROOT / "docs" / "7-extending.md").read_text(), re.MULTILINE)
# Other projects' files.
NOT_OURS = {"ugi.md"}


def _texts() -> Iterator[tuple[str, str]]:
    """Every page but the log, which tells of the past, and every source file."""
    for name in FILES:
        is_page = name.endswith(".md") and name not in ("docs/log.md", "CHANGELOG.md")
        if is_page or (name.endswith(".py") and name.startswith(("include/", "plugins/", "dags/", "benchmarks/"))):
            text = (ROOT / name).read_text(encoding="utf-8")
            if name == "docs/8-guide-commands.md":  # its tables name the guide's own files first, then ours
                text = re.sub(r"^\|[^|]*\|", "|", text, flags=re.MULTILINE)
            yield name, re.sub(r"^```diff\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def test_every_python_file_that_is_named_exists() -> None:
    missing = []
    for name, text in _texts():
        for named in sorted(set(re.findall(r"(?<![\w/.{}*-])((?:\w+/)*\w+\.py)\b", text))):
            if not any(f"/{file}".endswith(f"/{named}") for file in FILES + MADE):
                missing.append(f"{name}: {named}")
    assert missing == []


def test_every_page_and_section_that_is_named_exists() -> None:
    missing = []
    for name, text in _texts():
        for page, anchor in sorted(set(re.findall(r"((?:docs/)?[\w-]+\.md)(?:#([\w-]+))?", text))):
            file = next((file for file in FILES if f"/{file}".endswith(f"/{page}")), None)
            if file is None and page in NOT_OURS:
                continue
            if file is None:
                missing.append(f"{name}: {page}")
            elif anchor and anchor not in _anchors((ROOT / file).read_text(encoding="utf-8")):
                missing.append(f"{name}: {page}#{anchor}")
        for number in re.findall(r"3-rules\.md[),]? (?:section )?(\d+)", text):
            if not re.search(rf"^## {number}\b", (ROOT / "docs" / "3-rules.md").read_text(), re.MULTILINE):
                missing.append(f"{name}: rules, section {number}")
    assert missing == []


def test_every_key_of_the_configuration_that_a_page_names_exists() -> None:
    known = {*leaves(), *sections()}
    tops = "|".join(sorted(name for name in sections() if "." not in name))
    missing = [
        f"{name}: {key}"
        for name, text in _texts()
        for key in sorted(set(re.findall(rf"`((?:{tops})\.[a-z_][a-z_.]*)`", text)))
        if key not in known and not key.endswith(".py")
    ]
    assert missing == []


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}
