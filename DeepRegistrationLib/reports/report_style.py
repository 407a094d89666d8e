"""The style sheet of the HTML report: light and dark by the reader's setting, light on paper."""

STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1c2126; --soft: #5b6570;
  --line: #d9dee3; --panel: #f4f6f8; --before: #9aa3ac; --after: #1f6fc4;
  --second: #c2571a;
  --ok: #1b7f4d; --unknown: #5b6570; --caution: #a05a00; --problem: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #14181c; --text: #e6e9ec; --soft: #9aa5b0;
  --line: #333b43; --panel: #1d2329; --before: #7d8791; --after: #5aa6f0;
  --second: #f0935a; --ok: #5fcf97; --unknown: #9aa5b0; --caution: #f0a54a; --problem: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 70rem; background: var(--back);
  color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
p { margin: .4rem 0; } .soft, caption, figcaption, footer { color: var(--soft); }
.notice { color: var(--soft); font-size: .9rem; }
.verdict { margin: 1.2rem 0; padding: .8rem 1rem; background: var(--panel);
  border-left: .3rem solid var(--unknown); overflow-wrap: anywhere; }
.verdict h2 { border: 0; margin: 0; padding: 0; } .verdict ul { margin: .4rem 0 0; }
.verdict ul { padding-left: 1.2rem; }
.ok { border-color: var(--ok); } .caution { border-color: var(--caution); }
.problem { border-color: var(--problem); }
li b.ok { color: var(--ok); } li b.unknown { color: var(--unknown); }
li b.caution { color: var(--caution); } li b.problem { color: var(--problem); }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.figures div { flex: 1 1 10rem; padding: .6rem .9rem; background: var(--panel); }
.figures strong { display: block; font-size: 1.35rem; font-weight: 600; }
.tables { overflow-x: auto; } table { border-collapse: collapse; margin: .4rem 0 1rem;
  font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { padding: .22rem .8rem .22rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child, td.words { text-align: left; white-space: normal; }
th:first-child, td:first-child { min-width: 8rem; max-width: 18rem; overflow-wrap: break-word;
  position: sticky; left: 0; background: var(--back); }
td.words { min-width: 8rem; overflow-wrap: anywhere; }
tr.out td { color: var(--soft); text-decoration: line-through; }
.columns { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: start; }
.columns td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0 0 1.2rem; } .plots figure { flex: 1 1 22rem; }
img { display: block; width: 100%; height: auto; background: #000; }
svg { display: block; width: 100%; height: auto; font-size: 12px; fill: var(--text); }
svg .axis, svg .grid { fill: none; stroke: var(--soft); } svg .grid { stroke: var(--line); }
svg rect.before, svg circle.before { fill: var(--before); }
svg rect.after, svg circle.after { fill: var(--after); }
svg .box { fill: none; stroke-width: 1.5; } svg .box.before { stroke: var(--before); }
svg .box.after { stroke: var(--after); } svg .median { stroke-width: 3; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .9em; }
.key.before { background: var(--before); } .key.after { background: var(--after); }
svg .curve { fill: none; stroke-width: 2; }
svg .curve.before { stroke: var(--before); }
svg .curve.after, svg .curve.A { stroke: var(--after); }
svg .curve.B, svg .box.B { stroke: var(--second); } svg .box.A { stroke: var(--after); }
svg circle.A { fill: var(--after); } svg circle.B { fill: var(--second); }
.key.A { background: var(--after); } .key.B { background: var(--second); }
b.ok { color: var(--ok); } b.unknown { color: var(--unknown); } b.problem { color: var(--problem); }
table.wide { width: 100%; } table.wide th { vertical-align: top; }
td.asked { width: 42%; max-width: none; }
table.wide th { text-align: left; } td.state { text-align: left; }
.tick { display: inline-block; width: .9em; height: .9em; margin: 0 .35em 0 .6em;
  border: 1px solid var(--text); vertical-align: -.1em; }
td .tick:first-child { margin-left: 0; }
.line { display: block; height: 1.2em; margin-bottom: .7em; border-bottom: 1px solid var(--soft); }
.form td { border: 0; vertical-align: top; padding-top: .5rem; } .form td.words { width: 12rem; }
.form td + td { max-width: none; }
.decision { margin: 1.5rem 0; padding: .2rem 1rem 1rem; border: 2px solid var(--text); }
.decision h2 { border: 0; margin: .4rem 0; } .choices { list-style: none; padding: 0; }
.choices li { display: inline-block; margin-right: 2rem; font-weight: 600; }
.void { color: var(--problem); font-weight: 600; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; }
code { font-size: .88em; overflow-wrap: anywhere; }
footer { margin-top: 2rem; font-size: .85rem; }
@page { margin: 14mm; }
@media print { :root { --back: #fff; --text: #000; --soft: #444; --line: #bbb; --panel: #f2f2f2;
  --before: #999; --after: #1f6fc4; --second: #c2571a;
  --ok: #1b7f4d; --caution: #a05a00; --problem: #b3261e; }
  body { padding: 0; font-size: 9pt; max-width: none; } h2 { margin-top: 1.2rem; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .tables { overflow: visible; } .tables table { margin-bottom: .7rem; }
  th:first-child, td:first-child { position: static; }
  thead { display: table-header-group; } h2, caption { break-after: avoid; }
  .short, figure, tr, .verdict li, .verdict h2, .figures, .decision, .pair { break-inside: avoid; }
  figure { margin-bottom: .6rem; } .plots figure { flex: 0 0 47%; }
  p, li { orphans: 3; widows: 3; } }
"""
