"""The search index: lists, facets, counts and search of letters, without a read of the store."""

from daemon.page.search.finder import FacetValue, Found, FoundLetter, LetterFinder
from daemon.page.search.index import SearchFault, SearchIndex, SearchTooSlow, Synced
from daemon.page.search.query import FACETS, DueWhen, LetterQuery

__all__ = [
    "FACETS",
    "DueWhen",
    "FacetValue",
    "Found",
    "FoundLetter",
    "LetterFinder",
    "LetterQuery",
    "SearchFault",
    "SearchIndex",
    "SearchTooSlow",
    "Synced",
]
