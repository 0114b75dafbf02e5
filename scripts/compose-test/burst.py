#!/usr/bin/env python3
"""Prints id, severity and title of the first error burst of a service in a file of frames.

burst.py FILE SERVICE SINCE: lines of JSON, or of an event stream; what was detected before SINCE is
not it. Exit code 1: there is none.
"""

import json
import sys


def main():
    file, service, since = sys.argv[1:]
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            # A line that is just being written is looked at the next time.
            if '"anomaly"' not in line or not line.endswith("\n"):
                continue
            anomaly = json.loads(line.removeprefix("data: ")).get("anomaly", {})
            if anomaly.get("kind") == "error_burst" and anomaly["service"] == service and anomaly["detected_at"] >= since:
                print(anomaly["id"], anomaly["severity"], "-", anomaly["title"])
                return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
