#!/usr/bin/env python3
"""wordcount_test.py HOLDFAST_RUN WORDCOUNT: the example counts as Python does, and notices when counts are wrong."""

import collections
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

RUN, WORDCOUNT = sys.argv[1], sys.argv[2]
WORD = re.compile(rb"[a-z0-9\x80-\xff]+")
LONGEST = 255


def counts_of(paths):
    counts = collections.Counter()
    for path in paths:
        text = path.read_bytes()
        lower = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in text)
        counts.update(word[:LONGEST] for word in WORD.findall(lower))
    return counts


class Wordcount(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="wordcount-test-")
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)

    def file(self, name, content):
        path = self.directory / name
        path.write_bytes(content)
        return path

    def job(self, ranks, *command, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        return subprocess.run([RUN, "--no-prefix", "-n", str(ranks), *map(str, command)],
                              env=environment | {"HOLDFAST_ARENA": "64MiB"} | variables, capture_output=True,
                              check=False)

    def expect_counts(self, done, paths, top):
        counts = counts_of(paths)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, rb"(?m)^verified   yes$")
        self.assertRegex(done.stdout, rb"(?m)^words      %d, %d different," % (sum(counts.values()), len(counts)))
        rows = [(word, int(times)) for times, word in re.findall(rb"(?m)^ *(\d+) (\S+)$", done.stdout)]
        self.assertEqual(rows, sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:top])

    def test_counts_random_text_of_many_files_with_any_number_of_ranks(self):
        seed = random.randrange(2**32)
        with self.subTest(seed=seed):
            dice = random.Random(seed)
            letters = b"aAbBz09 \n\t.-_" + bytes([0, 0x7F, 0x80, 0xFF])
            paths = [self.file(f"text.{i}", bytes(dice.choices(letters, k=dice.choice((0, 1, 2, 50, 20000)))))
                     for i in range(8)]
            paths.append(self.file("last", b"word"))  # so that there is one
            for ranks in (1, 3, 4):
                with self.subTest(ranks=ranks):
                    self.expect_counts(self.job(ranks, WORDCOUNT, "--top", 7, *paths), paths, 7)

    def test_counts_a_word_that_spans_several_shares_once(self):
        paths = [self.file("long", b"x" * 1000 + b" y " + b"z" * 3)]
        self.expect_counts(self.job(4, WORDCOUNT, *paths), paths, 10)

    def test_counts_through_the_fabric(self):
        paths = [self.file("text", b"to be or not to be " * 5000)]
        done = self.job(2, WORDCOUNT, *paths, HOLDFAST_SAME_HOST="fabric")
        self.expect_counts(done, paths, 10)
        self.assertRegex(done.stdout, rb"own memory 0 B, shared memory 0 B, fabric [1-9]")

    def test_notices_counts_of_another_text(self):
        # Rank 0 recounts its own files; the other rank was given one that differs in a letter.
        self.file("text.0", b"one two three four " * 100)
        self.file("text.1", b"one two three five " * 100)
        done = self.job(2, "sh", "-c", f'exec "{WORDCOUNT}" "{self.directory}/text.$HOLDFAST_RANK"')
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, rb"(?m)^verified   no$")

    def test_says_which_file_is_not_there(self):
        done = self.job(1, WORDCOUNT, self.directory / "nowhere")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"nowhere", done.stderr)
        self.assertEqual(self.job(1, WORDCOUNT).returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
