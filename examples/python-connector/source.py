"""The resources of the interface `source`: this file has its name."""
import json

from wit_world.exports import source
from wit_world.imports import types


class Connection(source.Connection):
    @classmethod
    def open(cls, config):
        return cls()

    def grants(self):
        return []

    def streams(self):
        return [source.Stream("numbers", None, True, [], [], None, source.WriteDisposition.REPLACE, "{}")]

    def check(self):
        pass

    def explain(self):
        return "[]"

    def partitions(self, stream, parents):
        return [source.Partition("", "{}")]

    def read(self, stream, partition, checkpoint):
        return Reader()


class Reader(source.Reader):
    def __init__(self):
        self.done = False

    def next(self):
        if self.done:
            return None
        self.done = True
        records = json.dumps([{"n": n} for n in range(10)]).encode()
        return source.Page(types.Records_JsonArray(records), None, True)
