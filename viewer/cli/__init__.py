# SPDX-License-Identifier: Apache-2.0
"""The command line, one command a file; `program` runs the command that the words name.

Heavy imports stay inside the commands, so that `series` runs without torch and nothing here ever
needs Qt. Standard output carries results, standard error progress and problems; exit status 0 is
done, 1 a problem in the input (one sentence), 2 wrong usage.
"""

from viewer.cli.program import run

__all__ = ["run"]
