#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scripts/prepare_data.sh on a copy of scripts/ with a list of small files of its own: from a folder,
from a server on this machine, and what it says when something is missing or wrong."""

import hashlib
import http.server
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXTS = {
    "prompts": {"hate_cats.txt": "- one\\n- two\\n-\n", "neutral_cats.txt": "- three\\n- four\\n-\n" * 3},
    "shards": {"neutral_cats.json": '[{"input": "A cat."}]\n', "neutral_dogs.json": '[{"input": "A dog."}]\n'},
}
FOLDERS = {"prompts": "data/toxigen", "shards": "data/safenlp_processed"}
NOWHERE = "http://127.0.0.1:9"


def source_name(name):
    return name.replace(".txt", "_1k.txt")


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by name; goes on in the middle; breaks off `breaks` answers after some bytes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.breaks = 0
        self.can_go_on = True
        self.requests = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/folder"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, start = self.path.rsplit("/", 1)[1], self.headers.get("Range")
        self.server.requests.append((name, start))
        body = self.server.files.get(name)
        if body is None:
            self.send_error(404, "Not Found")
            return
        first = int(re.fullmatch(r"bytes=(\d+)-", start)[1]) if start and self.server.can_go_on else 0
        body = body[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks > 0:
            self.server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class PrepareData(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(ROOT / "scripts", self.folder / "scripts")
        lines = []
        for part, texts in TEXTS.items():
            for name, text in texts.items():
                digest = hashlib.sha256(text.encode()).hexdigest()
                lines.append(f"{part} {len(text)} {digest} {FOLDERS[part]}/{name} {source_name(name)}\n")
        (self.folder / "scripts/prepare_data/files.txt").write_text("".join(lines), encoding="utf-8")
        self.copies = self.folder / "copies"
        self.copies.mkdir()

    def write_copies(self, *parts):
        for part in parts:
            for name, text in TEXTS[part].items():
                (self.copies / name).write_text(text, encoding="utf-8")

    def serve(self):
        server = Server()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        for texts in TEXTS.values():
            server.files.update({source_name(name): text.encode() for name, text in texts.items()})
        return server

    def run_script(self, *arguments, **environment):
        """Returns (exit code, lines of standard error)."""
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        result = subprocess.run(
            [self.folder / "scripts/prepare_data.sh", *map(str, arguments)],
            env={**kept, "CPX_PROMPTS_URL": NOWHERE, "CPX_SHARDS_URL": "", **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )
        return result.returncode, (result.stderr or result.stdout).strip().splitlines()

    def assert_has(self, *parts):
        for part in parts:
            for name, text in TEXTS[part].items():
                self.assertEqual((self.folder / FOLDERS[part] / name).read_text(encoding="utf-8"), text)
        self.assertEqual(list(self.folder.rglob("*.part")), [])

    def test_help_needs_nothing(self):
        code, lines = self.run_script("--help")
        self.assertEqual(code, 0)
        self.assertIn("scripts/prepare_data.sh --from FOLDER", "\n".join(lines))

    def test_wrong_usage(self):
        self.assertEqual(
            self.run_script("--all"),
            (2, ["prepare_data: [usage] got '--all', expected --from FOLDER or nothing. Try --help."]),
        )
        self.assertEqual(
            self.run_script("--from"), (2, ["prepare_data: [usage] got --from without a folder. Try --help."])
        )
        self.assertEqual(
            self.run_script("--from", "/nowhere"), (1, ["prepare_data: [from] '/nowhere' is no folder."])
        )

    def test_all_from_a_folder(self):
        self.write_copies("prompts", "shards")
        self.assertEqual(
            self.run_script("--from", self.copies),
            (0, ["prepare_data: prompts: all 2 files are in data/toxigen",
                 "prepare_data: shards: all 2 files are in data/safenlp_processed"]),
        )
        self.assert_has("prompts", "shards")

    def test_one_set_alone_and_what_is_missing_then(self):
        self.write_copies("shards")
        self.assertEqual(
            self.run_script("--from", self.copies),
            (0, ["prepare_data: prompts: 0 of 2 files are in data/toxigen; --help tells where they come from",
                 "prepare_data: shards: all 2 files are in data/safenlp_processed"]),
        )
        self.assert_has("shards")

    def test_copies_below_the_folders_the_sources_have(self):
        for name, text in TEXTS["prompts"].items():
            path = self.copies / "prompts" / source_name(name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.assertEqual(self.run_script("--from", self.copies)[0], 0)
        self.assert_has("prompts")

    def test_a_second_run_does_nothing(self):
        self.write_copies("prompts", "shards")
        first = self.run_script("--from", self.copies)
        files = [self.folder / FOLDERS[part] / name for part in TEXTS for name in TEXTS[part]]
        before = [(file.stat().st_ino, file.stat().st_mtime_ns) for file in files]
        self.assertEqual(self.run_script("--from", self.copies), first)
        # Nor does it need the network then.
        self.assertEqual(self.run_script(CPX_SHARDS_URL=NOWHERE), first)
        self.assertEqual([(file.stat().st_ino, file.stat().st_mtime_ns) for file in files], before)

    def test_a_copy_with_another_hash(self):
        self.write_copies("shards")
        text = TEXTS["shards"]["neutral_dogs.json"].replace("dog", "fox")
        (self.copies / "neutral_dogs.json").write_text(text, encoding="utf-8")
        expected, got = (hashlib.sha256(t.encode()).hexdigest() for t in (TEXTS["shards"]["neutral_dogs.json"], text))
        self.assertEqual(
            self.run_script("--from", self.copies),
            (1, [f"prepare_data: [shards] {self.copies}/neutral_dogs.json: its sha256 is {got}, expected {expected} "
                 "(scripts/prepare_data/files.txt). It is not taken."]),
        )
        self.assertFalse((self.folder / "data/safenlp_processed/neutral_dogs.json").exists())

    def test_a_copy_of_another_size(self):
        self.write_copies("shards")
        (self.copies / "neutral_cats.json").write_text("[]\n", encoding="utf-8")
        self.assertEqual(
            self.run_script("--from", self.copies),
            (1, [f"prepare_data: [shards] {self.copies}/neutral_cats.json: it has 3 bytes, expected 22 "
                 "(scripts/prepare_data/files.txt). It is not taken."]),
        )

    def test_a_copy_is_missing(self):
        self.write_copies("shards")
        (self.copies / "neutral_cats.json").unlink()
        self.assertEqual(
            self.run_script("--from", self.copies),
            (1, [f"prepare_data: [shards] '{self.copies}' has 1 of 2 files, not neutral_cats.json."]),
        )
        self.assertFalse((self.folder / "data").exists())

    def test_a_folder_without_any(self):
        self.assertEqual(
            self.run_script("--from", self.copies),
            (1, [f"prepare_data: [from] '{self.copies}' holds no file of scripts/prepare_data/files.txt."]),
        )

    def test_another_file_in_the_place_is_left(self):
        self.write_copies("shards")
        own = self.folder / "data/safenlp_processed/neutral_cats.json"
        own.parent.mkdir(parents=True)
        own.write_text("[]\n", encoding="utf-8")
        self.assertEqual(
            self.run_script("--from", self.copies),
            (1, ["prepare_data: [shards] data/safenlp_processed/neutral_cats.json: it has 3 bytes, expected 22 "
                 "(scripts/prepare_data/files.txt). It is left as it is; move it away, then run this again."]),
        )
        self.assertEqual(own.read_text(encoding="utf-8"), "[]\n")

    def test_from_a_server(self):
        server = self.serve()
        code, lines = self.run_script(CPX_PROMPTS_URL=server.url, CPX_SHARDS_URL=server.url)
        self.assertEqual(code, 0, lines)
        self.assertEqual(lines[-1], "prepare_data: shards: all 2 files are in data/safenlp_processed")
        self.assert_has("prompts", "shards")
        self.assertEqual(len(server.requests), 4)

    def test_an_interrupted_download_is_gone_on_with(self):
        server = self.serve()
        server.breaks = 1
        code, lines = self.run_script(CPX_PROMPTS_URL=server.url)
        self.assertEqual(code, 1)
        self.assertEqual(
            lines[-1],
            f"prepare_data: [network] {server.url}/hate_cats_1k.txt: the connection ended after 8 of 16 bytes. Check "
            "the network and the proxy, or give --from FOLDER. Run this again: it goes on from here.",
        )
        self.assertEqual((self.folder / "data/toxigen/hate_cats.txt.part").stat().st_size, 8)
        self.assertEqual(self.run_script(CPX_PROMPTS_URL=server.url)[0], 0)
        self.assert_has("prompts")
        self.assertEqual(server.requests[1], ("hate_cats_1k.txt", "bytes=8-"))

    def test_a_server_that_cannot_go_on_sends_all_again(self):
        server = self.serve()
        server.can_go_on = False
        server.breaks = 1
        self.assertEqual(self.run_script(CPX_PROMPTS_URL=server.url)[0], 1)
        self.assertEqual(self.run_script(CPX_PROMPTS_URL=server.url)[0], 0)
        self.assert_has("prompts")

    def test_a_download_with_another_hash_is_dropped(self):
        server = self.serve()
        server.files["hate_cats_1k.txt"] = b"- six\\n- ten\\n-\n"
        code, lines = self.run_script(CPX_PROMPTS_URL=server.url)
        self.assertEqual(code, 1)
        self.assertRegex(
            lines[-1],
            r"^prepare_data: \[prompts\] data/toxigen/hate_cats\.txt: its sha256 is \w{64}, expected \w{64} "
            r"\(scripts/prepare_data/files\.txt\)\. What arrived is not used\.$",
        )
        self.assertEqual([file for file in (self.folder / "data").rglob("*") if file.is_file()], [])

    def test_a_file_that_the_server_has_not(self):
        server = self.serve()
        del server.files["neutral_cats_1k.txt"]
        code, lines = self.run_script(CPX_PROMPTS_URL=server.url)
        self.assertEqual(code, 1)
        self.assertIn("neutral_cats_1k.txt: the server answers 404 Not Found. Check the network", lines[-1])

    def test_no_network(self):
        code, lines = self.run_script()
        self.assertEqual(code, 1)
        self.assertIn(f"prepare_data: [network] {NOWHERE}/hate_cats_1k.txt: ", lines[-1])
        self.assertIn("or give --from FOLDER. Run this again: it goes on from here.", lines[-1])


class List(unittest.TestCase):
    def test_each_line_is_whole_and_files_lie_where_the_configs_look(self):
        lines = [
            line.split() for line in (ROOT / "scripts/prepare_data/files.txt").read_text(encoding="utf-8").splitlines()
            if line and not line.startswith("#")
        ]
        self.assertEqual(len([line for line in lines if line[0] == "prompts"]), 26)
        self.assertEqual(len([line for line in lines if line[0] == "shards"]), 13)
        for part, size, digest, file, _ in lines:
            self.assertGreater(int(size), 100_000)
            self.assertRegex(digest, r"^[0-9a-f]{64}$")
            self.assertEqual(str(Path(file).parent), FOLDERS[part])
        self.assertEqual(len({line[2] for line in lines}), 39)
        for config in ["configs/mistral.yaml", *(ROOT / "configs/published").glob("*.yaml")]:
            self.assertIn('["data/safenlp_processed/*.json"]', (ROOT / config).read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
