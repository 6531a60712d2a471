"""What MkDocs asks while it builds the site: made pages, their order, MathJax, and that no link is broken."""

import html.parser
import importlib.util
import logging
import pathlib
import re
import sys
import urllib.parse

from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor
from markdown.util import ETX, STX
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import pages
import questions

log = logging.getLogger("mkdocs.hooks")
MATHJAX = pathlib.Path(importlib.util.find_spec("mathjax").origin).parent / "static/mathjax/es5"


class StarOfShape(InlineProcessor):
    """A star that begins a shape, as in (*batch, T), is a star and starts no emphasis."""

    def handleMatch(self, m, data):  # noqa: N802, the name that Markdown calls
        return f"{STX}{ord('*')}{ETX}", *m.span()


class Sessions(Preprocessor):
    """Indented examples, which begin with >>>, become blocks that are coloured as sessions of Python."""

    def run(self, lines):
        made, inside = [], False
        for line in [*lines, ""]:
            if line.startswith("    >>> ") and not inside:
                made, inside = [*made, "```pycon"], True
            elif inside and not line.strip():
                made, inside = [*made, "```"], False
            made.append(line[4:] if inside else line)
        return made[:-1]


class Docstrings(Extension):
    """Markdown in which shapes may stand without backticks, and examples without fences."""

    def extendMarkdown(self, md):  # noqa: N802
        before_fences = 28
        md.preprocessors.register(Sessions(md), "sessions", before_fences)
        before_emphasis_and_after_code = 185
        md.inlinePatterns.register(
            StarOfShape(r"(?<=[(\s])\*(?=\w+[,)])", md), "shapes", before_emphasis_and_after_code
        )


def on_config(config):
    """The repository's address, Markdown of docstrings, and the pages of API and tutorials in their order."""
    config.markdown_extensions.append(Docstrings())
    config.repo_url = pages.repository()
    config.repo_name = config.repo_url.removeprefix("https://github.com/")
    for entry in config.nav:
        if "Tutorials" in entry:
            entry["Tutorials"] = ["tutorials/index.md", {"Open a tutorial": "notebooks.md"}] + [
                {f"{name[:2]} {title.split(':')[0]}": f"tutorials/{name}"}
                for name, (title, _) in pages.tutorials().items()
            ]
        if "API" in entry:
            entry["API"] = list(pages.api_pages())
    return config


@event_priority(100)  # before the plugin that looks for notebooks
def on_files(files, config):
    """Add what is made, and what lies outside docs/."""
    for address, text in pages.pages().items():
        files.append(File.generated(config, address, content=text))
    for address, path in pages.files().items():
        if address == str(path.relative_to(pages.ROOT)):
            files.append(File(address, str(pages.ROOT), config.site_dir, config.use_directory_urls))
        else:
            files.append(File.generated(config, address, abs_src_path=str(path)))
    for path in [MATHJAX / "tex-chtml.js", *(MATHJAX / "output/chtml/fonts/woff-v2").glob("*.woff")]:
        address = f"mathjax/{path.relative_to(MATHJAX).as_posix()}"
        files.append(File.generated(config, address, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """How-to pages come first in the search, and the API, which has every word, comes last."""
    boosts = {"how": 4, "api": 0.5}
    page.meta.setdefault("search", {"boost": boosts.get(page.file.src_uri.split("/")[0], 1)})


def on_post_page(output, page, config):
    """Links between notebooks lead to their pages; the badge of Colab is text, which needs no network."""
    own = pathlib.PurePath(page.file.src_uri)
    if own.suffix != ".ipynb":
        return output
    output = re.sub(r'<img[^>]*alt="(Open in Colab)"[^>]*>', r"\1", output)
    return re.sub(rf'href="(?!{own.stem}\.)(\w+)\.ipynb"', r'href="../\1/"', output)


def on_post_build(config):
    """Warn, which `--strict` makes an error, of links that lead nowhere and of unanswered questions."""
    site = pathlib.Path(config.site_dir)
    for question, hits in questions.unanswered(site).items():
        log.warning("search for '%s' finds %s and not %s", question, hits, questions.QUESTIONS[question])
    found = {path: _Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    for path, page in found.items():
        for link in page.links:
            problem = _problem(link, path, site, found)
            if problem:
                log.warning("%s: %s, %s", path.relative_to(site), link, problem)


def _problem(link, path, site, found):
    """What is wrong with a link from a page; None if nothing."""
    address = urllib.parse.urlsplit(link)
    if address.scheme or address.netloc:
        return None
    target = path
    if address.path:
        start = site if address.path.startswith("/") else path.parent
        target = (start / urllib.parse.unquote(address.path).lstrip("/")).resolve()
        target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        return "there is no such file"
    anchor = urllib.parse.unquote(address.fragment)
    if anchor and target in found and anchor not in found[target].anchors | {"__"}:
        return "there is no such heading"
    return None


class _Page(html.parser.HTMLParser):
    """The links of a page, and what can be linked to in it."""

    def __init__(self, path):
        html.parser.HTMLParser.__init__(self)
        self.links, self.anchors = [], set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if (tag, name) in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")) and value:
                self.links.append(value)
