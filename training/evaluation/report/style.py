"""The page's style sheet: no external font, no script."""

CSS = """
:root { --ink: #1c2430; --quiet: #66707f; --line: #e3e7ed; --ground: #f6f7f9; --blue: #0072b2; --pale: #d4e5f1; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 27px; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 0 0 4px; }
.quiet { color: var(--quiet); margin: 0 0 14px; max-width: 86ch; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 20px 24px; margin-top: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 12px; margin-top: 18px; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 13px 16px; }
.tile b { display: block; font-size: 25px; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.25; }
.tile small { color: var(--quiet); display: block; line-height: 1.35; }
.tile .name { color: var(--ink); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: right; color: var(--quiet); font-weight: 500; border-bottom: 1.5px solid var(--line);
  vertical-align: bottom; }
td { text-align: right; border-bottom: 1px solid var(--line); }
th, td { padding: 5px 10px; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
td.title { color: var(--quiet); padding-top: 18px; border-bottom-width: 1.5px; }
.remarks td:last-child, .remarks th:last-child { text-align: left; color: var(--quiet); padding-left: 24px;
  width: 60%; white-space: normal; }
.bar { display: inline-block; height: 9px; background: var(--pale); border-radius: 2px; margin-right: 8px; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 20px; align-items: start; }
img { max-width: 100%; height: auto; display: block; }
figure { margin: 0 0 16px; }
figure img { border-radius: 6px; }
figcaption { color: var(--quiet); font-size: 13.5px; padding-top: 5px; }
ul { margin: 0; padding-left: 20px; }
li { margin: 3px 0; max-width: 96ch; }
code { background: var(--ground); border-radius: 4px; padding: 1px 5px; font-size: 13px; overflow-wrap: anywhere; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
@media (max-width: 520px) { main { padding: 20px 12px; } section { padding: 16px 14px; }
  .two { grid-template-columns: 1fr; } }
"""
