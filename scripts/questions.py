"""Some thirty questions that people type into the site's search, and the page that answers each.

The build asks its own search index, and warns of a question whose page is not among the first three hits.
"""

import json
import pathlib

from lunr import lunr

MOST_HITS = 3
QUESTIONS = {
    "which memory should I choose": "how/which-memory/",
    "choose beta": "how/beta/",
    "normalise embeddings": "how/beta/",
    "nearest neighbour search": "how/nearest/",
    "patterns larger than memory on disk": "how/nearest/",
    "which pattern was retrieved": "how/retrieved/",
    "attention map": "how/retrieved/",
    "add and remove patterns": "how/change/",
    "complete a picture": "how/complete/",
    "clamp known pixels": "how/complete/",
    "0/1 states": "how/states/",
    "categorical states": "how/states/",
    "limit cycle": "how/cycles/",
    "recall without an energy": "how/cycles/",
    "save and load a memory": "how/save/",
    "several devices sharding": "how/devices/",
    "progress bar": "how/progress/",
    "write my own energy": "how/own/",
    "own neurons": "how/own_neurons/",
    "train patterns end to end": "how/train/",
    "memory layer in my model": "how/layer/",
    "plot an energy landscape": "how/landscape/",
    "several layers": "how/layers/",
    "sample at a temperature": "how/sample/",
    "solve a QUBO": "how/anneal/",
    "spreadsheet": "how/spreadsheet/",
    "Boltzmann machine": "how/boltzmann/",
    "recall converged but wrong pattern": "how/troubleshoot/",
    "CSV table of my data": "how/your-data/",
    "compare memories": "how/compare/",
    "delta rule": "how/learn-while-reading/",
    "DeltaNet": "how/learn-while-reading/",
    "Titans": "how/learn-while-reading/",
    "sweep a parameter": "how/sweep/",
    "open a tutorial in Colab": "notebooks/",
}


def unanswered(site: pathlib.Path) -> dict[str, list[str]]:
    """Each question whose page is not among the first hits of the site's index, with these hits."""
    kept = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    fields = [{"field_name": "title", "boost": 10}, "text"]
    documents = [(section, {"boost": section.get("boost", 1)}) for section in kept["docs"]]
    index = lunr(ref="location", fields=fields, documents=documents)
    found = {}
    for question, page in QUESTIONS.items():
        hits = dict.fromkeys(hit["ref"].split("#")[0] for hit in index.search(question))
        if page not in list(hits)[:MOST_HITS]:
            found[question] = list(hits)[:MOST_HITS]
    return found
