#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens a page of cpx-report in headless Chromium; one line a fault, then exit 1.

    check_report.py [--tool CPX_REPORT | PAGE...] [--keep FOLDER]

    --tool   the cpx-report to make a page with, of two small runs and reports (default: build/release/bin/cpx-report,
             else build/dev/bin/cpx-report)
    PAGE     pages that are there already, instead
    --keep   leave screenshots and the PDF in this folder

Console: nothing is written there, neither when the page opens nor when its switches are used.
Numbers: those of the reports stand on the page. Script: zoom, values under the pointer, hidden runs, texts, dark and
light do what they say. Policy: a script that got into the page would not run. Light and dark have grounds of their own;
the PDF is one.

Skipped, with a line that says so, where no Chromium is (Debian: chromium-headless-shell). Standard library alone.
"""

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "headless_shell")
TOOLS = ("build/release/bin/cpx-report", "build/dev/bin/cpx-report")
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
CONSOLE = re.compile(r"CONSOLE[:(](.*)")
FOREIGN = '<script>document.title = "a script of a text ran";</script>'

# What a reader does with the page; each line of the answer is a fault.
USE = r"""
<script>
addEventListener("load", () => {
  const faults = [];
  const expect = (holds, what) => { if (!holds) faults.push(what); };
  const all = (selector) => [...document.querySelectorAll(selector)];
  const click = (name) => document.querySelector(`[data-zoom="${name}"]`).click();
  const chart = document.querySelector(".chart > svg");
  const paths = () => [...chart.querySelectorAll(".line")].map((path) => path.getAttribute("d")).join();
  const ground = () => getComputedStyle(document.body).backgroundColor;

  if (chart) {
    click("all");
    const whole = paths();
    click("in");
    expect(paths() !== whole, "zoom in draws nothing new");
    const zoomed = paths();
    click("right");
    expect(paths() !== zoomed, "later draws nothing new");
    click("left"); click("out"); click("all");
    expect(paths() === whole, "all steps do not come back");
    click("log");
    expect(paths() !== whole, "the logarithmic axis draws nothing new");
    click("log");
    expect(paths() === whole, "the linear axis does not come back");

    const box = chart.getBoundingClientRect();
    const at = (type, share) => chart.dispatchEvent(new PointerEvent(type, {
      bubbles: true, pointerId: 1, clientX: box.left + share * box.width, clientY: box.top + 0.5 * box.height }));
    at("pointermove", 0.5);
    const values = document.getElementById("values");
    expect(!values.hidden && /^step [\d,]+/.test(values.textContent), "no values under the pointer");
    expect(!/NaN|undefined|Infinity/.test(values.textContent), `values are '${values.textContent}'`);
    at("pointerleave", 0.5);
    expect(values.hidden, "values stay when the pointer leaves");
    expect(!/NaN|undefined|Infinity/.test(chart.outerHTML), "the picture has numbers that are none");

    const box_of_run = document.querySelector(".switch");
    if (box_of_run) {
      const count = chart.querySelectorAll(".line").length;
      box_of_run.click();
      expect(chart.querySelectorAll(".line").length < count, "a hidden run is still drawn");
      box_of_run.click();
      expect(chart.querySelectorAll(".line").length === count, "a run does not come back");
    }
  }
  const texts = document.getElementById("show-texts");
  if (texts) {
    expect(all(".unscored[open], .toxic[open]").length === 0, "texts are open at first");
    texts.click();
    expect(all(".unscored:not([open]), .toxic:not([open])").length === 0, "texts stay closed");
    texts.click();
  }
  const before = ground();
  document.getElementById("theme").click();
  expect(ground() !== before, "dark or light changes nothing");
  document.getElementById("theme").click();
  expect(ground() === before, "dark or light does not change back");
  for (const picture of all(".chart > svg")) {
    expect(picture.getAttribute("aria-label"), "a picture has no description");
    expect(picture.parentElement.querySelector("table"), "a picture has no table");
  }
  expect(document.documentElement.scrollWidth <= innerWidth + 1, "the page is wider than the window");
  const answer = document.createElement("pre");
  answer.id = "answer";
  answer.textContent = JSON.stringify(faults);
  document.body.append(answer);
});
</script>
"""


def find_browser():
    named = os.environ.get("CHROMIUM")
    return named or next((path for path in map(shutil.which, BROWSERS) if path), None)


class Browser:
    """Runs Chromium on a page and collects what it writes to the console."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder

    def run(self, page, *flags):
        """Returns (standard output, lines of the console)."""
        command = [
            self.program, "--headless", "--disable-gpu", "--no-sandbox", "--no-first-run", "--enable-logging=stderr",
            f"--user-data-dir={self.folder / 'profile'}", "--window-size=1300,1600", *flags, page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        errors = done.stderr.decode("utf-8", "replace")
        if done.returncode != 0:
            sys.exit(f"check_report: [{self.program}] ended with exit code {done.returncode}: {errors[-300:]}")
        return done.stdout.decode("utf-8", "replace"), CONSOLE.findall(errors)


def first_pixel(png):
    """The colour of the upper left corner: no filter of PNG changes the first pixel of the first row."""
    data, position = b"", 8
    while position < len(png):
        size = int.from_bytes(png[position : position + 4], "big")
        if png[position + 4 : position + 8] == b"IDAT":
            data += png[position + 8 : position + 8 + size]
        position += 12 + size
    return tuple(zlib.decompress(data)[1:4])


def write_run(folder, shift):
    folder.mkdir(parents=True)
    lines = []
    for step in range(1, 401):
        wave = math.sin(step * 1.7 + shift) * 0.2
        lines.append({
            "step": step, "epoch": step / 400, "loss": 3.0 - step / 200 + wave, "learning_rate": 1e-3 * (1 - step / 400),
            "grad_norm": 1 + wave, "tokens": 300 + step % 7, "tokens_per_second": 150 + 40 * wave,
            "positive_perplexity": 50 + 9 * wave, "hard_negative_perplexity": 60 + step + 50 * wave, "skipped_steps": 0,
        })
        if step % 100 == 0:
            lines.append({"step": step, "epoch": step / 400, "eval_loss": 2.5 - step / 300, "eval_separation": 0.6})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.resolved.yaml").write_text(
        f"model:\n  path: small.gguf\nobjective:\n  name: sft\ntraining:\n  seed: {42 + shift}\n  output: {folder}\n")
    samples = [{"step": step, "prompt": "A kettle", "text": f" sings {step} times"} for step in (0, 200, 400)]
    (folder / "generations.jsonl").write_text("".join(json.dumps(one) + "\n" for one in samples))


def make_page(tool, folder):
    """Returns (the page, numbers that must stand on it)."""
    runs = [folder / "one", folder / "two"]
    for shift, run in enumerate(runs):
        write_run(run, shift)
    reports = []
    for number, adapter in enumerate((None, f"{runs[0]}/final")):
        report = {
            "kind": "perplexity", "model": "small.gguf", "adapter": adapter, "settings": {"shards": ["a.json"]},
            "sides": {"toxic": {"texts": 9, "perplexity": 58.31949960313905 * (number + 1)}},
            "separation": 0.5971016589506173, "separation_interval": {"low": 0.5625, "high": 0.640625},
        }
        path = folder / f"report{number}.json"
        path.write_text(json.dumps(report))
        reports.append(path)
    texts = folder / "texts.jsonl"
    texts.write_text(json.dumps({"prompt": "A lid", "sample": 0, "text": "falls", "score": 0.75}) + "\n")
    page = folder / "page.html"
    subprocess.run([tool, *runs, *reports, texts, "--output", page], check=True, stdout=subprocess.DEVNULL)
    return page, ["58.31949960313905", "0.5971016589506173", "[0.5625, 0.6406]", "+100.0 %"]


def check_page(browser, page, numbers, folder):
    """Returns the faults of one page."""
    faults = []
    html = page.read_text(encoding="utf-8")
    dom, console = browser.run(page, "--dump-dom")
    faults += [f"console: {line}" for line in console]
    faults += [f"the page does not show {number}" for number in numbers if number not in dom]
    if "has-script" not in dom:
        faults.append("the page's script did not run")

    used = folder / "used.html"
    used.write_text(POLICY.sub("", html, count=1).replace("</body>", USE + "</body>"), encoding="utf-8")
    dom, console = browser.run(used, "--dump-dom")
    faults += [f"console, in use: {line}" for line in console]
    answer = re.search(r'<pre id="answer">(.*?)</pre>', dom, re.S)
    faults += json.loads(answer[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")) if answer else [
        "the page's switches gave no answer"]

    foreign = folder / "foreign.html"
    foreign.write_text(html.replace("</body>", FOREIGN + "</body>"), encoding="utf-8")
    dom, console = browser.run(foreign, "--dump-dom")
    if "<title>a script of a text ran" in dom or not any("Content Security Policy" in line for line in console):
        faults.append("a script that is not the page's own would run")
    return faults + check_looks(browser, page, numbers, folder)


def check_looks(browser, page, numbers, folder):
    faults, grounds = [], {}
    for name, scheme in (("light", 1), ("dark", 0)):
        picture = folder / f"{page.stem}-{name}.png"
        _, console = browser.run(page, f"--screenshot={picture}", f"--blink-settings=preferredColorScheme={scheme}")
        faults += [f"console, {name}: {line}" for line in console]
        grounds[name] = first_pixel(picture.read_bytes())
    if sum(grounds["light"]) < 3 * 200 or sum(grounds["dark"]) > 3 * 60:
        faults.append(f"the grounds are {grounds}, expected a light and a dark one")
    pdf = folder / f"{page.stem}.pdf"
    browser.run(page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    if not pdf.read_bytes().startswith(b"%PDF-"):
        faults.append("the page does not print to PDF")
    if shutil.which("pdftotext"):
        text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, check=True).stdout.decode("utf-8", "replace")
        shown = [number for number in numbers if len(number) < 16]
        faults += [f"the PDF does not show {number}" for number in shown if number not in text]
        if "Zoom in" in text:
            faults.append("the PDF shows buttons")
    return faults


def main():
    parser = argparse.ArgumentParser(description="Opens a page of cpx-report in headless Chromium.")
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE")
    parser.add_argument("--tool", type=Path)
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    program = find_browser()
    if program is None:
        print(f"check_report: skipped: no Chromium here ({', '.join(BROWSERS)}), and CHROMIUM names none.")
        return
    tool = arguments.tool or next((ROOT / tool for tool in TOOLS if (ROOT / tool).is_file()), None)
    if tool is None and not arguments.pages:
        sys.exit("check_report: [--tool] got no cpx-report, expected one that is built. Build it, or give a page.")
    faults = []
    with tempfile.TemporaryDirectory(prefix="check_report.") as name:
        folder = Path(name)
        pages = [(page.resolve(), []) for page in arguments.pages] or [make_page(tool, folder)]
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
        browser = Browser(program, folder)
        for page, numbers in pages:
            faults += [f"{page.name}: {fault}" for fault in check_page(browser, page, numbers, folder)]
        for kept in [*folder.glob("*.png"), *folder.glob("*.pdf")] if arguments.keep else []:
            shutil.copy(kept, arguments.keep)
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(1)
    print(f"report: {len(pages)} page{'s' * (len(pages) != 1)} in {Path(program).name}, no fault")


if __name__ == "__main__":
    main()
