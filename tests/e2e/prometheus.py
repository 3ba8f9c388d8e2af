"""Prometheus's text format 0.0.4, read as strictly as its specification allows, and a scrape.

`parse` raises ValueError for whatever Prometheus would reject or misread: samples of a family that
are not together, a type after a sample, double series, counters that are negative, histograms whose
buckets do not grow or do not end in +Inf and the count.
"""
import http.client
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"')
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|Inf)|NaN")
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count"),
            "counter": ("",), "gauge": ("",)}


class Family:
    def __init__(self, name, text):
        self.name, self.help, self.type = name, text, None
        self.samples = {}  # (suffix, sorted labels as a tuple of pairs) -> value

    def value(self, suffix="", **labels):
        return self.samples[suffix, tuple(sorted(labels.items()))]

    def total(self):
        return sum(self.samples.values())

    def label_names(self):
        return {name for _, labels in self.samples for name, _ in labels} - {"le", "quantile"}


def unescape(text):
    return re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), text)


def parse_labels(text):
    labels, at = [], 0
    while at < len(text):
        match = LABEL.match(text, at)
        if match is None:
            raise ValueError(f"bad labels: {text!r}")
        labels.append((match.group(1), unescape(match.group(2))))
        at = match.end()
        if at < len(text):
            if text[at] != ",":
                raise ValueError(f"bad labels: {text!r}")
            at += 1
    if len(dict(labels)) != len(labels):
        raise ValueError(f"a label twice: {text!r}")
    return tuple(sorted(labels))


def parse_sample(family, line):
    match = re.fullmatch(r"([^ {]+)(?:\{(.*)\})? (\S+)", line)
    if match is None or not NUMBER.fullmatch(match.group(3)):
        raise ValueError(f"no sample: {line!r}")
    name, suffix = match.group(1), match.group(1)[len(family.name):]
    if not name.startswith(family.name) or suffix not in SUFFIXES[family.type]:
        raise ValueError(f"a sample of another family than {family.name}: {line!r}")
    key = suffix, parse_labels(match.group(2) or "")
    if key in family.samples:
        raise ValueError(f"a series twice: {line!r}")
    value = float(match.group(3))
    if family.type != "gauge" and value < 0:
        raise ValueError(f"negative: {line!r}")
    family.samples[key] = value


def check_histogram(family):
    series = {}
    for (suffix, labels), value in family.samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        one = series.setdefault(rest, {"buckets": []})
        if suffix == "_bucket":
            one["buckets"].append((float(dict(labels)["le"]), value))
        else:
            one[suffix] = value
    for labels, one in series.items():
        bounds = [bound for bound, _ in one["buckets"]]
        counts = [count for _, count in one["buckets"]]
        if not bounds or bounds != sorted(set(bounds)) or bounds[-1] != float("inf"):
            raise ValueError(f"{family.name}{labels}: bounds {bounds}")
        if counts != sorted(counts) or counts[-1] != one["_count"] or "_sum" not in one:
            raise ValueError(f"{family.name}{labels}: counts {counts} of {one.get('_count')}")


def parse(text):
    """The families of a page by name."""
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    families, family = {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, words = line[7:].partition(" ")
            if not NAME.fullmatch(name) or name in families or not words:
                raise ValueError(f"bad or repeated help: {line!r}")
            if re.search(r"\\[^\\n]", words):
                raise ValueError(f"bad escape: {line!r}")
            family = families[name] = Family(name, unescape(words))
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            if family is None or name != family.name or family.type or kind not in SUFFIXES:
                raise ValueError(f"bad or misplaced type: {line!r}")
            family.type = kind
        elif family is None or family.type is None or line.startswith("#"):
            raise ValueError(f"neither a sample nor a comment that we write: {line!r}")
        else:
            parse_sample(family, line)
    for one in families.values():
        if one.type == "histogram":
            check_histogram(one)
    return families


def get(port, path="/metrics", method="GET", timeout=10.0):
    """The status, the fields and the body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def scrape(port):
    status, fields, body = get(port)
    if status != 200 or fields["Content-Type"] != "text/plain; version=0.0.4; charset=utf-8":
        raise ValueError(f"{status} {fields}")
    return parse(body.decode())
