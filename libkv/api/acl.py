"""Users and their rights.  Redis docs: https://redis.io/docs/latest/commands/?group=server

The rules are those of redis.conf's `user` lines
(https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).  The process itself may do everything;
rules bind network clients, and sessions that have called `auth`.
"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from libkv.api.arguments import Arguments, Handle, Key, Text, TextList, Value
from libkv.encode import Encoder
from libkv.errors import DataError


def signed(words: Iterable[bytes], kind: str, plus: bytes, minus: bytes) -> Iterable[bytes]:
    """Words that begin with "+" or "-", with a rule's own sign in place of that."""
    for i, word in enumerate(words):
        if not word.startswith((b"+", b"-")):
            raise DataError(f'{kind} {i} must be prefixed with a "+" to add or a "-" to remove')
        yield (plus if word.startswith(b"+") else minus) + word[1:]


def check_sign(kind: str, word: bytes) -> None:
    if not word.startswith((b"+", b"-")):
        raise DataError(f'{kind} "{word.decode("utf-8", "replace")}" must be prefixed with "+" or "-"')


def key_rule(key: bytes) -> bytes:
    return key if key.startswith((b"%", b"~")) else b"~" + key


def as_list(one_or_many: Any) -> Arguments:
    return [one_or_many] if isinstance(one_or_many, bytes | str) else list(one_or_many)


class AclCommands(Handle):
    """ACL: users, their rights, and what was denied."""

    if TYPE_CHECKING:

        def get_encoder(self) -> Encoder: ...

    def acl_cat(self, category: str | None = None, **kwargs: Any) -> TextList:
        """The categories of commands, or the commands of one.  Redis: ACL CAT."""
        return self.execute_command("ACL CAT", *([category] if category else []), **kwargs)

    def acl_deluser(self, *username: str, **kwargs: Any) -> int:
        """Removes users and ends their sessions; returns how many there were.  Redis: ACL DELUSER."""
        return self.execute_command("ACL DELUSER", *username, **kwargs)

    def acl_dryrun(self, username: str, *args: Value, **kwargs: Any) -> Text:
        """b"OK" when the user may run this command, else why not; nothing is run.  Redis: ACL DRYRUN."""
        return self.execute_command("ACL DRYRUN", username, *args, **kwargs)

    def acl_genpass(self, bits: int | None = None, **kwargs: Any) -> Text:
        """A random password in hexadecimal digits, of 256 or of so many bits (at most 4096).  Redis: ACL GENPASS."""
        words = []
        if bits is not None:
            try:
                words.append(int(bits))
            except ValueError:
                words.append(-1)
            if not 0 <= words[0] <= 4096:
                raise DataError("genpass optionally accepts a bits argument, between 0 and 4096.")
        return self.execute_command("ACL GENPASS", *words, **kwargs)

    def acl_getuser(self, username: str, **kwargs: Any) -> dict[str, Any] | None:
        """A user's flags, passwords (SHA-256 in hexadecimal digits) and rules, or None.  Redis: ACL GETUSER."""
        return self.execute_command("ACL GETUSER", username, **kwargs)

    def acl_help(self, **kwargs: Any) -> TextList:
        """What the subcommands do.  Redis: ACL HELP."""
        return self.execute_command("ACL HELP", **kwargs)

    def acl_list(self, **kwargs: Any) -> TextList:
        """All users as lines of a configuration file.  Redis: ACL LIST."""
        return self.execute_command("ACL LIST", **kwargs)

    def acl_load(self, **kwargs: Any) -> bool:
        """Takes the users of the file that `aclfile` names instead of the present ones.  Redis: ACL LOAD."""
        return self.execute_command("ACL LOAD", **kwargs)

    def acl_log(self, count: int | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """What was denied, newest first: 10 entries, or so many.  Redis: ACL LOG."""
        if count is not None and not isinstance(count, int):
            raise DataError("ACL LOG count must be an integer")
        return self.execute_command("ACL LOG", *([] if count is None else [count]), **kwargs)

    def acl_log_reset(self, **kwargs: Any) -> bool:
        """Forgets what was denied.  Redis: ACL LOG RESET."""
        return self.execute_command("ACL LOG", b"RESET", **kwargs)

    def acl_save(self, **kwargs: Any) -> bool:
        """Writes the users to the file that `aclfile` names.  Redis: ACL SAVE."""
        return self.execute_command("ACL SAVE", **kwargs)

    def acl_setuser(
        self,
        username: str,
        enabled: bool = False,
        nopass: bool = False,
        passwords: str | Iterable[str] | None = None,
        hashed_passwords: str | Iterable[str] | None = None,
        categories: Iterable[str] | None = None,
        commands: Iterable[str] | None = None,
        keys: Iterable[Key] | None = None,
        channels: Iterable[Key] | None = None,
        selectors: Iterable[tuple[str, Key]] | None = None,
        reset: bool = False,
        reset_keys: bool = False,
        reset_channels: bool = False,
        reset_passwords: bool = False,
        **kwargs: Any,
    ) -> bool:
        """Makes or changes a user.

        enabled: whether it may log in.  nopass: with any password.  passwords, hashed_passwords: "+..." to add, "-..."
        to remove.  categories, commands: "+..." or "-...".  keys: patterns, perhaps with %R~ or %W~ before them.
        channels: patterns.  selectors: (command, key pattern) pairs, each on its own.  reset...: forgets what was there
        first.
        Redis: ACL SETUSER.
        """
        encode = self.get_encoder().encode
        words: Arguments = [username]
        resets = ((reset, b"reset"), (reset_keys, b"resetkeys"), (reset_channels, b"resetchannels"))
        words += [word for wanted, word in (*resets, (reset_passwords, b"resetpass")) if wanted]
        words.append(b"on" if enabled else b"off")
        if (passwords or hashed_passwords) and nopass:
            raise DataError("Cannot set 'nopass' and supply 'passwords' or 'hashed_passwords'")
        words += signed(map(encode, as_list(passwords or [])), "Password", b">", b"<")
        words += signed(map(encode, as_list(hashed_passwords or [])), "Hashed password", b"#", b"!")
        if nopass:
            words.append(b"nopass")
        for category in map(encode, categories or []):
            check_sign("Category", category)
            words.append(category if category[1:2] == b"@" else category[:1] + b"@" + category[1:])
        for command in map(encode, commands or []):
            check_sign("Command", command)
            words.append(command)
        words += [key_rule(encode(key)) for key in keys or []]
        words += [b"&" + encode(channel) for channel in channels or []]
        for command_, key_ in selectors or []:
            check_sign("Command", encode(command_))
            words.append(b"(%s %s)" % (encode(command_), key_rule(encode(key_))))
        return self.execute_command("ACL SETUSER", *words, **kwargs)

    def acl_users(self, **kwargs: Any) -> TextList:
        """The names of all users.  Redis: ACL USERS."""
        return self.execute_command("ACL USERS", **kwargs)

    def acl_whoami(self, **kwargs: Any) -> Text:
        """The user of this session.  Redis: ACL WHOAMI."""
        return self.execute_command("ACL WHOAMI", **kwargs)
