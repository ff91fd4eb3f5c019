# SPDX-License-Identifier: Apache-2.0
"""Refuses the message of a commit whose subject is missing, too long, or runs on into the second line.

Git calls it before it commits, where `pre-commit install` was run; see CONTRIBUTING.md.
"""

import sys
from pathlib import Path

LONGEST = 72
"""Characters: what lists of commits show without cutting."""


def fault(message: str) -> str | None:
    """One sentence on what is wrong with a message, or None; lines that begin with # are git's own."""
    lines = [line.rstrip() for line in message.splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if not subject:
        return "The commit has no subject: say in its first line what changes."
    if len(subject) > LONGEST:
        return f"The subject has {len(subject)} characters; say it in {LONGEST}, and why in the body."
    if len(lines) > 1 and lines[1]:
        return "Leave the second line of the message empty: the subject is the first alone."
    return None


def main() -> None:
    """Check the file that git names."""
    found = fault(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if found is not None:
        sys.exit(found)


if __name__ == "__main__":
    main()
