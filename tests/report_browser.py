"""The report in a real browser: python3 tests/report_browser.py VERYEDGE SOURCE WORK

Headless Chromium opens pages about small runs, about two runs compared and about 10,000 rounds of 100
clients, on a desk, on a phone, in the dark and on paper: no errors, no requests, charts that hold
something, labels that are not cut and do not overlap, colours that can be read, and every number of
the tables is that of the files. Exit status 77 (skipped) where Chromium or selenium is not there."""
import csv
import json
import math
import os
import shutil
import subprocess
import sys
import time

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
except ImportError:
    print("skipped: python3-selenium is not here")
    sys.exit(77)

MAX_LOAD_S, MAX_BYTES = 3.0, 10_000_000
PHONE, DESK = 390, 1280
failures = []


def check(is_true, words):
    if not is_true:
        failures.append(words)
        print("FAIL " + words)


# --- the browser ---

def open_browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        print("skipped: chromium or chromedriver is not here")
        sys.exit(77)
    options = Options()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--hide-scrollbars", "--user-data-dir=" + os.path.abspath("profile")):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        return webdriver.Chrome(service=Service(driver), options=options)
    except WebDriverException as e:
        print("skipped: chromium does not start: " + str(e).splitlines()[0])
        sys.exit(77)


def show(browser, page, width=DESK, is_dark=False, media=""):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [
        {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]})
    browser.get("file://" + os.path.abspath(page))


# --- what is asked of the page, in the browser ---

PROBE = """
const box = e => e.getBoundingClientRect();
const out = {scripts: document.scripts.length, requests: performance.getEntriesByType('resource').length,
             width: document.documentElement.scrollWidth, charts: [], empty: [], cut: [], over: []};
for (const figure of document.querySelectorAll('figure')) {
  const caption = figure.querySelector('figcaption').textContent.trim(), svg = figure.querySelector('svg');
  const axis = svg ? [...svg.querySelectorAll('text')].map(t => t.textContent).pop() : '';
  out.charts.push(caption + ' | ' + axis);
  if (!svg) { out.empty.push(caption); continue; }
  const lines = svg.classList.contains('network') ? svg.querySelectorAll('rect') : svg.querySelectorAll('path.line');
  if (![...lines].some(l => l.tagName == 'rect' || l.getTotalLength() > 10)) out.empty.push(caption);
  const s = box(svg), texts = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim());
  texts.forEach((t, i) => {
    const b = box(t);
    if (b.left < s.left - 1 || b.right > s.right + 1 || b.top < s.top - 1 || b.bottom > s.bottom + 1)
      out.cut.push(caption + ': ' + t.textContent);
    for (const u of texts.slice(i + 1)) {
      const c = box(u), x = Math.min(b.right, c.right) - Math.max(b.left, c.left);
      const y = Math.min(b.bottom, c.bottom) - Math.max(b.top, c.top);
      if (x > 1 && y > 3) out.over.push(caption + ': ' + t.textContent + ' / ' + u.textContent);
    }
  });
}
return out;
"""

CONTRASTS = """
const style = getComputedStyle(document.documentElement), out = {};
const canvas = document.createElement('canvas').getContext('2d');
const light = name => {
  const c = style.getPropertyValue(name).trim(), v = parseInt(c.length == 4 ? c.slice(1).replace(/./g, '$&$&') : c.slice(1), 16);
  const f = x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  return 0.2126 * f(v >> 16) + 0.7152 * f(v >> 8 & 255) + 0.0722 * f(v & 255);
};
const back = light('--bg');
for (const name of ['ink', 'soft', 'k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8', 'k9', 'ka']) {
  const l = light('--' + name);
  out[name] = (Math.max(l, back) + 0.05) / (Math.min(l, back) + 0.05);
}
return out;
"""

CELLS = """
return [...document.querySelectorAll(arguments[0])].map(table => [...table.rows].map(row =>
  [...row.cells].map(cell => {
    const data = cell.querySelector('data');
    return [cell.firstChild ? cell.firstChild.textContent.trim() : '', data ? data.value : null];
  })));
"""


def check_look(browser, page, width, is_dark):
    where = "%s, %d wide%s: " % (page, width, ", dark" if is_dark else "")
    show(browser, page, width, is_dark)
    seen = browser.execute_script(PROBE)
    check(seen["scripts"] == 0 and seen["requests"] == 0, where + "scripts or requests")
    check(seen["width"] <= width, where + "the page is %d wide" % seen["width"])
    for kind, words in (("empty", "a chart holds nothing"), ("cut", "a label is cut"), ("over", "labels overlap")):
        check(not seen[kind], where + words + ": " + "; ".join(seen[kind][:4]))
    for name, ratio in browser.execute_script(CONTRASTS).items():
        check(ratio >= (4.5 if name in ("ink", "soft") else 3), where + "%s has a contrast of %.2f" % (name, ratio))
    log = [entry["message"] for entry in browser.get_log("browser")]
    check(not log, where + "the console says " + "; ".join(log[:3]))
    return seen["charts"]


# --- numbers ---

def is_shown(text, exact):
    """Whether a cell's text is its exact value to the digits that it has."""
    v = float(exact)
    shown = float(text.replace(",", ""))
    return math.isclose(shown, v, rel_tol=6e-4, abs_tol=0) or abs(shown - v) <= 0.5 and "," in text


def check_rounds(browser, folder, table):
    with open(folder + "/rounds.csv", newline="") as f:
        rows = {row["round"]: row for row in csv.DictReader(f)}
    names, n = [cell[0] for cell in table[0]], 0
    for cells in table[1:]:
        want = rows[cells[names.index("round")][1]]
        for name, (text, exact) in zip(names, cells):
            n += exact is not None
            if exact is None:
                check(text == want[name], "%s: %s of a round says %r, not %r" % (folder, name, text, want[name]))
            else:
                check(exact == want[name] and is_shown(text, exact),
                      "%s: %s of round %s: %s (%s) against %s" % (folder, name, want["round"], text, exact, want[name]))
    filled = {name for row in rows.values() for name, cell in row.items() if cell}
    check(set(names) == filled, "%s: columns %s" % (folder, sorted(filled ^ set(names))))
    return len(table) - 1, n


def check_totals(folder, table):
    with open(folder + "/summary.json") as f:
        summary = json.load(f)
    for cells in table[1:]:
        name, value, n = cells[0][0], cells[2], 0
        want = summary.get(name)
        if isinstance(want, (int, float)):
            check(value[1] is not None and float(value[1]) == want and is_shown(*value), "%s: total %s: %s" % (folder, name, value))
        else:
            check(value[0] == (want or ""), "%s: total %s: %s, not %s" % (folder, name, value[0], want))
    check(len(table) > 40, folder + ": totals are missing")


def check_elements(folder, table):
    with open(folder + "/elements.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    check(len(table) == len(rows) + 2, folder + ": elements: a header, their rows, devices")
    for cells, row in zip(table[1:], rows):
        got = [cells[0][0], cells[1][0]] + [cell[1] for cell in cells[2:5]]
        check(got == [row[k] for k in ("element", "direction", "count", "bits", "joules")], "%s: %s" % (folder, got))


# --- the pages ---

def command(program, *arguments):
    done = subprocess.run([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print("FAIL veryedge %s: %s" % (" ".join(arguments), done.stderr))
        sys.exit(1)


def make_pages(program, scenarios):
    def run(name, out, *sets):
        command(program, "run", scenarios + name, "--quiet", "--set", "output.dir=" + out,
                *[word for s in sets for word in ("--set", s)])
    run("quickstart.json", "quick", "federation.rounds=6", "evaluate.every=2", "evaluate.samples=8", "evaluate.test=6")
    run("mixed.json", "mixed", "federation.rounds=30", "federation.deadline=4.6s", "federation.failure_rate=0.1",
        "federation.clients_per_round=20", "model.train=none", "evaluate.every=0", "network.server.up=200Mbps")
    run("lte-cell.json", "cell", "federation.rounds=90", "model.train=none", "evaluate.every=0")
    begun = time.monotonic()
    run("network-only.json", "big", "federation.rounds=10000", "federation.clients_per_round=100")
    ran = time.monotonic()
    for folder in ("quick", "mixed", "cell", "big"):
        command(program, "report", folder)
    print("10,000 rounds x 100 clients: run %.1f s, reports %.1f s" % (ran - begun, time.monotonic() - ran))
    command(program, "report", "quick", "cell", "mixed", "--out", "compared.html")


def check_charts(browser):
    trained = ["Loss", "ROUGE-1", "ROUGE-2", "ROUGE-L", "Facts found"]
    always = ["Granularity G", "Duration", "Energy, network and devices"]
    for page, names in (("quick/report.html", trained + always), ("cell/report.html", always),
                        ("mixed/report.html", always), ("compared.html", trained + always), ("big/report.html", always)):
        for width, is_dark in ((DESK, False), (PHONE, False), (DESK, True)):
            charts = check_look(browser, page, width, is_dark)
        for name in names:
            axes = [c.split(" | ")[1] for c in charts if c.startswith(name)]
            check(bool(axes), "%s: no chart of %s" % (page, name))
            if name in ("Loss", "ROUGE-1"):
                for axis in ("round", "virtual time", "energy"):
                    check(any(a.startswith(axis) for a in axes), "%s: no %s over %s" % (page, name, axis))
        check(any(c.endswith("server") or "link" in c.split(" | ")[1] for c in charts), page + ": no network")
        check(browser.execute_script("return document.querySelectorAll('.bar span').length") >= 5, page + ": no stacked bar")


def check_timeline(browser):
    show(browser, "mixed/report.html")
    visible = "return [...document.querySelectorAll('.round')].filter(r => r.offsetHeight).map(r => r.id)"
    check(browser.execute_script(visible) == ["t0-0"], "the first round alone is open")
    browser.execute_script("document.querySelectorAll('.timeline label')[3].click()")
    check(browser.execute_script(visible) == ["t0-3"], "a click opens another round")
    lanes = browser.execute_script("""return [...document.querySelectorAll('#t0-3 .lane:not(.ticks) > div')].map(d => {
      const w = d.getBoundingClientRect(), parts = [...d.children].map(i => i.getBoundingClientRect());
      return [parts[0].left - w.left, w.right - parts[parts.length - 1].right,
              Math.max(0, ...parts.slice(1).map((p, i) => Math.abs(p.left - parts[i].right)))]; })""")
    check(len(lanes) == 20, "a lane for each of 20 clients, got %d" % len(lanes))
    check(all(max(map(abs, lane)) < 0.5 for lane in lanes), "phases touch and fill the lane: %s" % lanes[:3])


def check_numbers(browser):
    for folder in ("quick", "mixed", "cell", "big"):
        show(browser, folder + "/report.html")
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        shown, n = check_rounds(browser, folder, browser.execute_script(CELLS, "table.rounds")[0])
        check_totals(folder, browser.execute_script(CELLS, "table.totals")[0])
        check_elements(folder, browser.execute_script(CELLS, "table.elements")[0])
        print("%s: %d numbers of %d rounds are those of rounds.csv" % (folder, n, shown))
        check(n > 10 * shown, folder + ": numbers are missing")


def check_large(browser):
    size = os.path.getsize("big/report.html")
    load_s = []
    for _ in range(3):
        show(browser, "big/report.html")
        load_s.append(1e-3 * browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd"))
    print("10,000 rounds x 100 clients: %.2f MB, loaded in %s s" % (1e-6 * size, " ".join("%.3f" % s for s in load_s)))
    check(size < MAX_BYTES, "the page has %d bytes" % size)
    check(0 < max(load_s) < MAX_LOAD_S, "loading took %s s" % load_s)
    text = browser.execute_script("return document.documentElement.textContent")
    for words in ("400 of 10000 rounds", "12 of 10000 rounds", "50 of 100 clients", "points are not drawn"):
        check(words in text, "the page does not say \"%s\"" % words)


def check_paper(browser):
    show(browser, "quick/report.html", media="print")
    check(browser.execute_script("return document.querySelector('table.totals').getClientRects().length") > 0,
          "totals are printed though they are closed")
    check(browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)",
          "paper is white")
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})["data"]
    check(pdf.startswith("JVBERi0"), "it prints")  # %PDF-


def main():
    program, source, work = (os.path.abspath(a) for a in sys.argv[1:4])
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    os.chdir(work)
    os.environ["XDG_CACHE_HOME"] = os.path.join(work, "cache")
    browser = open_browser()
    try:
        make_pages(program, source + "/scenarios/")
        check_charts(browser)
        check_timeline(browser)
        check_numbers(browser)
        check_large(browser)
        check_paper(browser)
    finally:
        browser.quit()
    os.chdir("/")
    if failures:
        print("%d failed; pages in %s" % (len(failures), work))
        sys.exit(1)
    shutil.rmtree(work)
    print("all passed")


main()
