"""How much of a store a page of an export holds."""

from langchain_zepstore import ZepClient
from tests.support.messages import said

MEGABYTE = 1024 * 1024


def test_an_export_page_of_large_messages_is_short(mongo_url: str, database_name: str) -> None:
    with ZepClient(mongo_url, database=database_name) as client:
        texts = [chr(ord("A") + number) * MEGABYTE for number in range(36)]
        for text in texts:
            client.memory.add_memory("s", said(text))
        lengths, cursor = [], None
        while True:
            page = client.run(lambda store: store.transfer.page(None, None, cursor))
            lengths.append(sum(len(each.get("content", "")) for each in page.items))
            if (cursor := page.cursor) is None:
                break
        assert max(lengths) <= 20 * MEGABYTE  # an answer of MongoDB and what came before it
        assert [line.get("content") for line in client.export()][-36:] == texts
