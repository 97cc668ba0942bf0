"""BibTeX of what a table stands on: the papers of its methods and data sets, as the cards in the records name them.

A card has a citation in one line (authors, title, where and when), a link and a year. What of it follows the usual
pattern becomes fields of its own; anything else is kept whole, as a note. Nothing is added that a card does not say.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from leaderboard.downloads import REFERENCES, downloads_of, downloads_of_method, downloads_of_task
from leaderboard.load import Run
from leaderboard.site import Page, Site
from leaderboard.tex import comment, escape, plain

Card = Mapping[str, Any]  # Any: JSON of a card of any version, a stranger's too

_CITATIONS = (
    # Hu et al., LoRA: Low-Rank Adaptation, ICML 2022
    re.compile(
        r"(?P<authors>[^:,]+ et al\.|[^\s:,]+ and [^\s:,]+), (?P<title>.+), ((?P<venue>[^\d,]+) )?(?P<year>\d{4})"
    ),
    # Warstadt, Singh, Bowman: Neural Network Acceptability Judgments, 2019
    re.compile(r"(?P<authors>[^:]+): (?P<title>.+), (?P<year>\d{4})"),
)
_ARXIV = re.compile(r"https://(?:arxiv\.org/abs|huggingface\.co/papers)/(\d{4}\.\d{4,5})(?:v\d+)?")
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_IN_LINKS = ":/?#[]@!$&'()*+,;=%~"


class Reference(NamedTuple):
    """One paper."""

    key: str
    fields: tuple[tuple[str, str], ...]
    """Names and values, escaped."""


def reference(card: Card) -> Reference | None:
    """Return the paper of a card, None where it names neither a link nor a citation."""
    year = card.get("year")
    return _reference(str(card.get("paper") or ""), str(card.get("url") or ""), year if isinstance(year, int) else None)


@lru_cache(maxsize=4096)  # thousands of runs share a few cards
def _reference(paper: str, url: str, year: int | None) -> Reference | None:
    paper, url = plain(paper), plain(url)
    found = next((match.groupdict() for form in _CITATIONS if (match := form.fullmatch(paper))), None)
    linked = bool(_LINK.fullmatch(url))
    if not linked and not found:
        return None
    fields = _cited(found) if found else {}
    if paper and not found and url not in paper:
        fields["note"] = escape(paper)
    when = str(year) if year is not None else str(found["year"]) if found else ""
    if when:
        fields["year"] = when
    if linked:
        fields["url"] = quote(url, safe=_IN_LINKS)
    if arxiv := _ARXIV.fullmatch(url):
        fields |= {"eprint": arxiv[1], "archiveprefix": "arXiv"}
    return Reference(_key(str(found["authors"]) if found else "", when, f"{paper}\n{url}"), tuple(fields.items()))


def _cited(found: Mapping[str, str | None]) -> dict[str, str]:
    """Return the fields of a citation that follows the pattern; names are family names alone, as cards have them."""
    names = re.sub(r",? et al\.?$", ", others", str(found["authors"])).replace(" and ", ", ").split(", ")
    people = " and ".join("others" if name == "others" else f"{{{escape(name)}}}" for name in names)
    venue = {"howpublished": escape(str(found["venue"]))} if found.get("venue") else {}
    return {"author": people, "title": f"{{{escape(str(found['title']))}}}", **venue}


def _key(authors: str, year: str, content: str) -> str:
    """Return a key that one paper has on every board: first name, year, and a digest of what the card says."""
    ascii_only = unicodedata.normalize("NFKD", authors).encode("ascii", "ignore").decode()
    name = "".join(re.findall("[a-z]+", re.split(r"[,:]| and | et al", ascii_only)[0].lower())) or "ref"
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{name[:20]}{year}_{digest}"


def bibtex(cards: Iterable[tuple[str, Card]]) -> str:
    """Return the papers of cards by key, each with the names (``method lora``, ``task glue/rte``) it stands for."""
    names: dict[Reference, set[str]] = defaultdict(set)
    silent: set[str] = set()
    for name, card in cards:
        found = reference(card)
        (silent if found is None else names[found]).add(name)
    entries = [comment(", ".join(sorted(names[one]))) + _entry(one) for one in sorted(names)]
    if silent:
        entries.append(comment(f"No paper on the card of: {', '.join(sorted(silent))}"))
    return "\n".join(entries)


def cards_of(runs: Iterable[Run]) -> Iterator[tuple[str, Card]]:
    """Yield the cards that some runs name: of each its method's first, then those of its tasks."""
    for run in runs:
        record = run.record
        yield f"method {record.spec.method}", record.method_card
        for task in {record.spec.train, *record.spec.score}:
            yield f"task {task}", record.task_cards.get(task, {})


def _entry(of: Reference) -> str:
    lines = [f"  {name} = {{{value}}}" for name, value in of.fields]
    return "@misc{" + ",\n".join([of.key, *lines]) + "\n}\n"


def pages(site: Site) -> Iterator[Page]:
    """Yield the references of each section, task and method, and of all."""
    for section in site.sections:
        shown = (run for row in section.rows for cell in row.cells.values() for run in cell.runs)
        yield Page(dict(downloads_of(section))["BibTeX"], bibtex(cards_of(shown)))
    of_task: dict[str, list[tuple[str, Card]]] = defaultdict(list)
    of_method: dict[str, list[tuple[str, Card]]] = defaultdict(list)
    for run in site.runs:
        own, *others = cards_of([run])
        of_method[run.record.spec.method].append(own)
        for name, card in others:
            of_task[name] += [own, (name, card)]
    for task in site.tasks:
        yield Page(dict(downloads_of_task(task))["BibTeX"], bibtex(of_task[f"task {task}"]))
    for method in site.methods:
        yield Page(dict(downloads_of_method(method))["BibTeX"], bibtex(of_method[method]))
    yield Page(REFERENCES, bibtex(cards_of(site.runs)))
