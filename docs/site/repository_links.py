"""A hook of mkdocs: the README is the site's first page, and files of the repository that pages link to are part of the site.

Pages are written for a reader of the repository, with links such as `../examples/random_agent.py`. Here every file that a page
links to is added to the site under its path in the repository (those of docs/ without that folder), and the links are changed to
match. A link to a folder leads to its README or picture, and is plain text where there is none. Source files become pages. What grows with the repository is filled in:
the pages for other libraries, the table of examples, the reference of adapters.
"""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FIRST_PAGE = ROOT / "README.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
INTEGRATIONS = ROOT / "python/mujigae/integrations"
ADAPTERS = sorted(INTEGRATIONS.rglob("[a-z]*.py"))
NOTEBOOKS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
PROJECT = [ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
ALWAYS = [FIRST_PAGE, *PROJECT, *EXAMPLES, *NOTEBOOKS]
LIBRARIES = "From your library"
SHOWN_OF_FOLDERS = ("README.md", "curve.png")
SOURCES = {".py": "python", ".hpp": "cpp", ".ipynb": "python"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"(^```.*?^```$)", flags=re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """Puts the pages for other libraries into the menu."""
    for section in config.nav:
        if LIBRARIES in section:
            section[LIBRARIES] = [page.name for page in sorted(DOCS.glob("from-*.md"))]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the first page, and what pages link to, and what those pages link to."""
    pending = [path for path in ALWAYS if path.exists()]
    pending += [target for page in DOCS.rglob("*.md") for target in linked_files(page)]
    added: set[Path] = set()
    while pending:
        path = pending.pop()
        if path in added or path.is_relative_to(DOCS):
            continue
        added.add(path)
        files.append(site_file(path, config))
        pending += linked_files(path) if path.suffix == ".md" else []
    return files


def site_file(path: Path, config: Any) -> File:
    """A file of the repository, as it is or as a page."""
    language = SOURCES.get(path.suffix)
    if language is None:
        return File.generated(config, site_path(path), abs_src_path=str(path))
    text = path.read_text(encoding="utf-8")
    page = f"# {path.relative_to(ROOT)}\n\n````{language}\n{text}````\n"
    return File.generated(config, site_path(path), content=cells(text) if path in NOTEBOOKS else page)


def cells(notebook: str) -> str:
    """A notebook as a page."""
    parts = []
    for cell in json.loads(notebook)["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Changes the links of a page, outside of blocks of code."""
    if page.file.abs_src_path is None:  # a source file
        return markdown
    source = Path(page.file.abs_src_path)
    markdown = markdown.replace("<!-- table of examples -->", table_of_examples())
    markdown = markdown.replace("<!-- adapters -->", adapters())
    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else with_links(part, source) for part in parts)


def table_of_examples() -> str:
    """The notebooks, and the first sentence of each example's docstring."""
    rows = [f"| [{path.name}](../examples/notebooks/{path.name}) | {title(path)} |" for path in NOTEBOOKS]
    rows += [f"| [{path.name}](../examples/{path.name}) | {first_sentence(path)} |" for path in EXAMPLES]
    return "\n".join(["| file | what it shows |", "| --- | --- |", *rows])


def adapters() -> str:
    """What mkdocstrings is to write of each adapter."""
    options = "show_root_heading: false, show_root_toc_entry: false, heading_level: 3"
    names = [".".join(path.relative_to(INTEGRATIONS).with_suffix("").parts) for path in ADAPTERS]
    parts = [f"## {name}\n\n::: mujigae.integrations.{name}\n    options: {{{options}}}" for name in names]
    return "\n\n".join(parts)


def title(notebook: Path) -> str:
    """A notebook's first heading."""
    first_cell = json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]
    return f"Notebook: {first_cell['source'][0].removeprefix('# ').strip()}"


def first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def with_links(text: str, source: Path) -> str:
    """`text` of the page `source` with links as the site has them."""

    def changed(match: re.Match[str]) -> str:
        mark, words, target, anchor = match.groups()
        path = destination(source, target)
        if path is None:
            return words
        relative = os.path.relpath(site_path(path), os.path.dirname(site_path(source)))
        return f"{mark}[{words}]({relative}{anchor or ''})"

    return LINK.sub(changed, text)


def linked_files(page: Path) -> list[Path]:
    """Files of the repository that a page links to."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = [destination(page, match[3]) for match in LINK.finditer(text)]
    return [path for path in found if path is not None]


def destination(source: Path, target: str) -> Path | None:
    """The file that a link leads to: of a folder its README, or the learning curve of a run; None where it has neither.

    Raises FileNotFoundError for a link that leads nowhere.
    """
    path = Path(os.path.normpath(source.parent / target))
    if path.is_dir():
        return next((path / name for name in SHOWN_OF_FOLDERS if (path / name).exists()), None)
    if not path.exists():
        raise FileNotFoundError(f"{source.relative_to(ROOT)} links to {target}, which does not exist")
    return path


def site_path(path: Path) -> str:
    """Where a file of the repository lies in the site."""
    if path == FIRST_PAGE:
        return "index.md"
    inside = str(path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT))
    return f"{inside}.md" if path.suffix in SOURCES else inside
