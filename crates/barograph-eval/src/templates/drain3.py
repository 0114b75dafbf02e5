"""Mines lines with Drain3 as it comes: a JSON list of lines in, ids, templates and CPU seconds out."""

import json
import sys
import time
from importlib.metadata import version

from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig

lines = json.load(sys.stdin.buffer)
miner = TemplateMiner(config=TemplateMinerConfig())
begun = time.thread_time()
ids = [miner.add_log_message(line)["cluster_id"] for line in lines]
seconds = time.thread_time() - begun
texts = {cluster.cluster_id: cluster.get_template() for cluster in miner.drain.clusters}
json.dump({"version": version("drain3"), "ids": ids, "texts": texts, "seconds": seconds}, sys.stdout)
