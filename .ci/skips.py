"""Fail when a test was skipped for a reason that is not on the committed list; close with the plain count.

Usage: skips.py ALLOWED_FILE JUNIT_XML...
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

allowed = [line for line in Path(sys.argv[1]).read_text().splitlines() if line and not line.startswith("#")]
passed = failed = skipped = 0
unlisted = []
for report in sys.argv[2:]:
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        if skip is not None:
            skipped += 1
            if not any(reason in (skip.get("message") or "") for reason in allowed):
                unlisted.append(f"{case.get('classname')}.{case.get('name')}: {skip.get('message')}")
        elif case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        else:
            passed += 1
for line in unlisted:
    sys.stdout.write(f"skipped, but not listed: {line}\n")
sys.stdout.write(f"{passed} passed, {failed} failed, {skipped} skipped\n")
sys.exit(1 if unlisted or failed or not passed else 0)
