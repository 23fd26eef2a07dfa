"""A connector in Python that counts to ten: the least that the contract asks for.

    pip install componentize-py==0.25.1
    componentize-py -d ../../wit -w connector componentize app -o counter.wasm
    echo '{}' > counter.json
    host run counter.wasm --config counter.json --to -
"""
import json

from wit_world.exports import Source as SourceProtocol
from wit_world.exports import source


class Source(SourceProtocol):
    def describe(self):
        return source.Description("counter", "0.1.0", "Counts to ten.", json.dumps({"type": "object"}))
