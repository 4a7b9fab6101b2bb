"""What a check found, as one HTML page to send around: no script, nothing loaded from elsewhere.

All that is not ours is escaped. The page is written as a stream, however many files it lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from ..archive.check_report import LEFT_OUT, MENDED, CheckReport, Trouble
from ..archive.verdicts import NOBODY, Count, Totals, Verdict
from .text import number, percent, plural, printable, quote, size

_STYLE = """
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c2024;--dim:#5c656e;--line:#dfe2e5;
--safe:#1f7a4d;--few:#a86400;--doubtful:#5a5fc8;--dead:#b3261e;--track:#e9ecef}
@media screen and (prefers-color-scheme:dark){:root{--bg:#14171a;--card:#1c2024;--ink:#e8eaec;
--dim:#a2abb4;--line:#343a40;--safe:#4cc38a;--few:#e5a03c;--doubtful:#9aa0ff;--dead:#ff8a80;--track:#2a3036}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
.page{max-width:72rem;margin:0 auto;padding:2rem 1.25rem 3rem}
h1{font-size:1.75rem;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.25rem 0 .5rem}
p{margin:.4rem 0}
.dim,footer,caption{color:var(--dim)}
.lead{font-size:1.3rem;line-height:1.35;margin:1.4rem 0 .8rem;padding-left:.8rem;
border-left:.35rem solid var(--safe)}
.lead.few{border-color:var(--few)}.lead.doubtful{border-color:var(--doubtful)}
.lead.dead{border-color:var(--dead)}
.bar{display:flex;gap:2px;height:1rem;border-radius:.5rem;overflow:hidden;background:var(--track)}
.bar i{display:block;min-width:3px}
.safe i,i.safe{background:var(--safe)}i.few{background:var(--few)}
i.some{background:var(--dim)}i.doubtful{background:var(--doubtful)}i.dead{background:var(--dead)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.75rem;
margin:1rem 0 0;padding:0;list-style:none}
.cards li{background:var(--card);border:1px solid var(--line);border-top:.25rem solid var(--c);
border-radius:.5rem;padding:.7rem .9rem}
.cards .safe{--c:var(--safe)}.cards .few{--c:var(--few)}
.cards .doubtful{--c:var(--doubtful)}.cards .dead{--c:var(--dead)}
.cards b{display:block;font-size:1.5rem;line-height:1.2;font-variant-numeric:tabular-nums}
.cards strong{color:var(--c)}
.cards .none{opacity:.6}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.5rem}
table{border-collapse:collapse;width:100%}
caption{text-align:left;padding:.6rem .9rem}
th,td{padding:.45rem .9rem;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
thead th{font-weight:600;font-size:.9rem;white-space:nowrap}
tbody th{font-weight:500;overflow-wrap:anywhere;min-width:8rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.zero{color:var(--dim)}
.bad{color:var(--dead);font-weight:600}
td.part{width:40%;vertical-align:middle}
ul.plain{margin:0;padding:0;list-style:none}
.files{table-layout:fixed;min-width:44rem}.files td{overflow-wrap:anywhere}
.files thead th:first-child{width:36%}.files thead .n{width:6.5rem}
.files thead .n+th:not(:last-child){width:20%}
.files .n{overflow-wrap:normal}
.files tbody tr{content-visibility:auto;contain-intrinsic-size:auto 4rem}
code{font:.85em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--dim)}
a{color:inherit;text-decoration-color:var(--dim);text-underline-offset:.15em}
a:focus-visible,summary:focus-visible{outline:2px solid var(--doubtful);outline-offset:2px}
summary{cursor:pointer;margin:2.25rem 0 .5rem}
summary h2{display:inline;margin:0}
footer{margin-top:3rem;border-top:1px solid var(--line);padding-top:1rem;font-size:.9rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.5rem 0}
dt{font-weight:600}dd{margin:0}
@media print{body{background:#fff;font-size:11pt}.page{max-width:none;padding:0}
.bar,.bar i,.cards li{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.files{min-width:0;font-size:9pt}thead{display:table-header-group}
tr,.cards li{break-inside:avoid}.wide{overflow:visible}
.files tbody tr{content-visibility:visible}}
"""

_MEANING = {
    Verdict.SAFE: "seen now, in as many places as the data set asks for",
    Verdict.FEW: "seen now, but in fewer places than the data set asks for",
    Verdict.DOUBTFUL: "not seen; a place that may have it could not be asked",
    Verdict.DEAD: "not seen; all places that may have it were asked, and none has it",
}
_LEADS = {
    Verdict.SAFE: "All of it was seen, in as many copies as it should have.",
    Verdict.FEW: "All of it was seen; {some} in fewer copies than it should have.",
    Verdict.DOUBTFUL: "Nothing is known to be lost, but of {some} nobody can say now.",
    Verdict.DEAD: "Of {some} no place has the content any more.",
}


@dataclass(frozen=True)
class Head:
    """What was checked: the data set's name, its version, when, and below which paths."""

    name: str
    version: str
    when: str
    paths: Sequence[str] = ()
    program: str = ""


def iter_page(head: Head, report: CheckReport) -> Iterator[str]:
    """The page, in parts."""
    yield from _iter_head(head)
    yield from _iter_summary(report.totals)
    yield from _iter_places(report)
    for verdict, title in (
        (Verdict.DEAD, "Dead"), (Verdict.DOUBTFUL, "Doubtful"), (Verdict.FEW, "In few copies"),
    ):  # fmt: skip
        count = report.totals.by_verdict[verdict]
        yield from _iter_files(title, _MEANING[verdict], count, report.iter_troubles(verdict))
    mended = report.totals.mended
    told = "content that was brought by this check, and hashed on the way"
    yield from _iter_files("Mended", told, mended, report.iter_troubles(MENDED))
    yield from _iter_left_out(report)
    yield from _iter_end(head, report)


def _iter_head(head: Head) -> Iterator[str]:
    title = f"{_text(head.name)}: what of its content is safe"
    yield "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
    yield '<meta name=viewport content="width=device-width,initial-scale=1">\n'
    yield '<meta name="color-scheme" content="light dark">\n'
    yield "<meta name=referrer content=no-referrer>\n"
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<div class=page>\n"
    yield f"<header>\n<h1>{_text(head.name)}</h1>\n<p class=dim>"
    about = f"version {_text(head.version)}, " if head.version else ""
    yield f"{about}checked <time datetime={_text(head.when)!r}>{_text(_readable(head.when))}</time>"
    if head.paths:
        yield f"; only {', '.join(_text(path) for path in head.paths)}"
    yield "</p>\n</header>\n<main>\n"


def _iter_summary(totals: Totals) -> Iterator[str]:
    if not totals.all.keys:
        yield "<p class=lead>There is no annexed content in it.</p>\n"
        return
    worst = next((v for v in reversed(Verdict) if totals.by_verdict[v].keys), Verdict.SAFE)
    some = plural(totals.by_verdict[worst].files, "file")
    yield f"<p class='lead {worst}'>{_LEADS[worst].format(some=some)}</p>\n"
    yield f"<p>{plural(totals.all.files, 'file')}, {plural(totals.all.keys, 'content')}, "
    yield f"{_bytes(totals.all)}. Every place that can be reached was asked; what the records say "
    yield "counts for nothing here.</p>\n"
    shares = [(v, totals.share(v)) for v in Verdict if totals.by_verdict[v].keys]
    label = ", ".join(f"{percent(share)} {_name(v)}" for v, share in shares)
    yield f'<div class=bar role=img aria-label="{label}">'
    yield "".join(f"<i class={v} style='flex:{share:.6f}'></i>" for v, share in shares)
    yield "</div>\n<ul class=cards>\n"
    for verdict in Verdict:
        count = totals.by_verdict[verdict]
        none = "" if count.keys else " none"
        yield f"<li class='{verdict}{none}'><strong>{_name(verdict)}</strong>"
        yield f"<b>{percent(totals.share(verdict))}</b>"
        yield f"<span class=dim>{plural(count.files, 'file')}, {_bytes(count)}</span></li>\n"
    yield "</ul>\n"
    yield from _iter_copies(totals)


def _iter_copies(totals: Totals) -> Iterator[str]:
    yield "<h2>In how many copies</h2>\n<div class=wide><table>\n<thead><tr>"
    yield "<th scope=col>Copies seen<th scope=col class=n>Files<th scope=col class=n>Size"
    yield "<th scope=col class=n>Share<th scope=col><span class=dim></span></tr></thead>\n<tbody>\n"
    for copies, count in sorted(totals.by_copies.items()):
        share = count.keys / totals.all.keys
        shade = "some" if copies else "dead"
        yield f"<tr><th scope=row>{number(copies) if copies else 'none'}"
        yield f"<td class=n>{number(count.files)}<td class=n>{_bytes(count)}"
        yield f"<td class=n>{percent(share)}<td class=part><div class=bar aria-hidden=true>"
        yield f"<i class={shade} style='width:{share * 100:.3f}%'></i></div></tr>\n"
    yield "</tbody></table></div>\n"


def _iter_places(report: CheckReport) -> Iterator[str]:
    places = sorted(report.totals.places.values(), key=lambda one: one.place.label)
    if not places:
        return
    yield "<h2>Places</h2>\n<div class=wide><table>\n<thead><tr><th scope=col>Place"
    yield "<th scope=col class=n>Said to have<th scope=col class=n>Seen there"
    yield "<th scope=col class=n>Not there<th scope=col class=n>Not answered"
    yield "<th scope=col class=n>Also seen<th scope=col>Remark</tr></thead>\n<tbody>\n"
    for place in places:
        yield f"<tr><th scope=row>{_text(place.place.label)}{_number(place.claims)}"
        yield f"{_number(place.confirmed)}{_number(place.refuted, bad=True)}"
        yield f"{_number(place.unreachable, bad=True)}{_number(place.found)}"
        yield f"<td>{_text(place.remark)}</tr>\n"
    yield "</tbody></table></div>\n"


def _iter_files(
    title: str, meaning: str, count: Count, troubles: Iterable[Trouble]
) -> Iterator[str]:
    if not count.keys:
        return
    yield f"<details open><summary><h2>{title}</h2> <span class=dim>"
    yield f"{plural(count.files, 'file')}, {_bytes(count)}: {meaning}</span></summary>\n"
    yield "<div class=wide><table class=files>\n<thead><tr><th scope=col>File"
    yield "<th scope=col class=n>Size<th scope=col>What was answered"
    yield "<th scope=col>Last known URLs</tr></thead>\n<tbody>\n"
    for trouble in troubles:
        yield from _iter_row(trouble)
    yield "</tbody></table></div></details>\n"


def _iter_left_out(report: CheckReport) -> Iterator[str]:
    count = report.totals.left_out
    if not count.keys:
        return
    yield "<details open><summary><h2>In no piece of the archive</h2> <span class=dim>"
    yield f"{plural(count.files, 'file')}, {_bytes(count)}: content that was not at hand when the "
    yield "last snapshot was packed; once it is here again, the next one takes it in"
    yield "</span></summary>\n<div class=wide><table class=files>\n<thead><tr><th scope=col>File"
    yield "<th scope=col class=n>Size<th scope=col>What was noted then</tr></thead>\n<tbody>\n"
    for trouble in report.iter_troubles(LEFT_OUT):
        yield f"{_first_cells(trouble)}<td>{_text(trouble.left_out)}</tr>\n"
    yield "</tbody></table></div></details>\n"


def _first_cells(trouble: Trouble) -> str:
    shown = "" if trouble.size is None else size(trouble.size)
    name, key = _text(quote(trouble.path)), _text(trouble.key)
    return f"<tr><th scope=row>{name}<br><code>{key}</code><td class=n>{shown}"


def _iter_row(trouble: Trouble) -> Iterator[str]:
    yield f"{_first_cells(trouble)}<td>{_list(_answers(trouble))}"
    if trouble.done:
        yield f"<p class=dim>{_text(trouble.done)}</p>"
    yield "<td>"
    yield _urls(trouble.urls) if trouble.urls else "<span class=dim>none</span>"
    yield "</tr>\n"


def _answers(trouble: Trouble) -> list[str]:
    found = [
        f"{place}: {said}" + (f" ({remark})" if remark else "")
        for place, said, remark in trouble.answers
    ]
    return found or [NOBODY]


def _urls(urls: Iterable[tuple[str, str]]) -> str:
    return (
        "<ul class=plain>"
        + "".join(
            f"<li>{_link(url)}{f' <span class=dim>{_text(remark)}</span>' if remark else ''}</li>"
            for url, remark in urls
        )
        + "</ul>"
    )


def _link(url: str) -> str:
    text = _text(url)
    if not url.lower().startswith(("http://", "https://")):
        return f"<code>{text}</code>"
    return f'<a href="{text}" rel="noreferrer nofollow">{text}</a>'


def _list(texts: Sequence[str]) -> str:
    return "<ul class=plain>" + "".join(f"<li>{_text(text)}</li>" for text in texts) + "</ul>"


def _iter_end(head: Head, report: CheckReport) -> Iterator[str]:
    yield "</main>\n<footer>\n<p>What the words mean:</p>\n<dl>"
    for verdict in Verdict:
        yield f"<dt>{_name(verdict)}<dd>{_MEANING[verdict]}"
    yield "</dl>\n<p>A copy is counted when its place said now that it has it, in the right size. "
    yield "Its bytes were not read: hold fsck does that.</p>\n"
    if report.not_installed:
        yield f"<p>{plural(report.not_installed, 'data set')} inside it not installed, so not "
        yield "checked.</p>\n"
    if report.corrected:
        yield f"<p>Entries of the records that were wrong: {number(report.corrected)}.</p>\n"
    yield f"<p>Made by {_text(head.program)}.</p>\n</footer>\n</div>\n</body>\n</html>\n"


def _number(count: int, *, bad: bool = False) -> str:
    name = "n zero" if not count else "n bad" if bad else "n"
    return f"<td class='{name}'>{number(count)}"


def _name(verdict: Verdict) -> str:
    return "in few copies" if verdict is Verdict.FEW else str(verdict)


def _bytes(count: Count) -> str:
    more = f" and {number(count.unsized)} of unknown size" if count.unsized else ""
    return size(count.size) + more


def _readable(when: str) -> str:
    return when.replace("T", " ").replace("Z", " UTC")


def _text(text: str) -> str:
    """Text as it may stand in a page: nothing of it is markup, a control or half a character."""
    return escape(printable(text))
