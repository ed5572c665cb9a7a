"""Learn an extractor from labelled rows: schema, corpus, network, training, export.

Reading a schema and a corpus needs nothing more; training needs `supple[learn]`.
"""

from supple.extraction.corpus import Example, Fact, read_examples
from supple.extraction.schema import Relation, Schema, read_schema, write_schema

__all__ = ["Example", "Fact", "Relation", "Schema", "read_examples", "read_schema", "write_schema"]
