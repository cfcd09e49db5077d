"""``zepstore messages``."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_zepstore.cli.context import Context, cell, context_of
from langchain_zepstore.cli.escape import one_line

if TYPE_CHECKING:
    from langchain_zepstore.models import Message

app = typer.Typer(help="List, add, follow, delete and restore messages.", no_args_is_help=True)

_POLL_SECONDS = 0.5

Session = Annotated[str, typer.Argument(metavar="ID", help="The session's id.")]
MessageId = Annotated[str, typer.Argument(metavar="MESSAGE", help="The message's id.")]


@app.command("list", epilog="Example: zepstore messages list 3f2a --json")
def list_messages(
    context: typer.Context,
    session_id: Session,
    last: Annotated[int | None, typer.Option(min=1, help="Only the last so many.")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Also those in the trash.")] = False,
) -> None:
    """List a session's messages, oldest first."""
    command = context_of(context)
    columns = ("uuid", "deleted_at" if deleted else "created_at", "role", "content")
    with command.client() as client:
        if not deleted:
            client.memory.get_session(session_id)
        if last is None:
            messages = client.message.iter_messages(session_id, include_deleted=deleted)
        else:
            memory = client.memory.get_memory(session_id, last, include_deleted=deleted)
            messages = iter(memory.messages)
        command.table(columns, messages)


@app.command(epilog='Example: zepstore messages add 3f2a --role user "Where is my boat?"')
def add(
    context: typer.Context,
    session_id: Session,
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    role: Annotated[str, typer.Option(help="Who says it.")] = "user",
) -> None:
    """Add a message to a session, which is created or restored if need be."""
    from langchain_zepstore.core.ids import new_id  # noqa: PLC0415
    from langchain_zepstore.models import Memory, Message  # noqa: PLC0415 - takes long to import

    command = context_of(context)
    message = Message(role=role, content=text, uuid=new_id())
    with command.client() as client:
        client.memory.add_memory(session_id, Memory(messages=[message]))
        assert message.uuid
        if command.json:
            command.object(client.message.get_session_message(session_id, message.uuid))
    command.note(f"added {message.uuid}")


@app.command(epilog="Example: zepstore messages tail 3f2a -f")
def tail(
    context: typer.Context,
    session_id: Session,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
) -> None:
    """Show a session's last messages, and with -f those that come."""
    command = context_of(context)
    with command.client() as client:
        client.memory.get_session(session_id)
        shown = client.memory.get_memory(session_id, number).messages
        for message in shown:
            _print(command, message)
        last = shown[-1].uuid if shown else None
        while follow:
            time.sleep(_POLL_SECONDS)
            for message in client.message.iter_messages(session_id, after=last):
                _print(command, message)
                last = message.uuid


def _print(command: Context, message: "Message") -> None:
    if command.json:
        command.object(message)
    else:
        head = f"{cell(message.created_at)} {one_line(message.role)}:"
        command.text(f"{head} {message.content}")


@app.command(epilog="Example: zepstore messages delete 3f2a 7be0")
def delete(context: typer.Context, session_id: Session, message_id: MessageId) -> None:
    """Move a message to the trash."""
    command = context_of(context)
    with command.client() as client:
        client.message.delete_message(session_id, message_id)
    command.note(f"deleted {message_id}")


@app.command(epilog="Example: zepstore messages undelete 3f2a 7be0")
def undelete(context: typer.Context, session_id: Session, message_id: MessageId) -> None:
    """Restore a message in its place."""
    command = context_of(context)
    with command.client() as client:
        client.message.undelete_message(session_id, message_id)
    command.note(f"restored {message_id}")
