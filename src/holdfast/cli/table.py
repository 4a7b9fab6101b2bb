"""The commands: name, module, group, one line. Plain tuples, as every call of `hold` reads them."""

GROUPS = (
    ("start", "Start"),
    ("daily", "Daily work"),
    ("content", "Content"),
    ("history", "History"),
    ("nesting", "Data sets in a data set"),
    ("care", "Care"),
)

COMMANDS = (
    ("create", "create", "start", "Make a data set of a new or existing folder."),
    ("clone", "clone", "start", "Make a clone of a data set, without its content."),
    ("demo", "demo", "start", "Show what a data set is good for, on real files, step by step."),
    ("help", "help", "start", "Tell about hold, or about one command."),
    ("status", "status", "daily", "Show what differs from the last saved version."),
    ("save", "save", "daily", "Record the present state as a new version."),
    ("get", "get", "daily", "Bring the content of files here."),
    ("drop", "drop", "daily", "Remove content here, or elsewhere, once enough copies are seen."),
    ("copy", "copy", "daily", "Copy content to another place, or from one to another."),
    ("move", "move", "daily", "Move content to another place, or from one to another."),
    ("push", "push", "daily", "Send new versions, and their content, to a sibling."),
    ("update", "update", "daily", "Bring what siblings have that is new, and join it with ours."),
    ("unlock", "unlock", "daily", "Make files writable, with a copy of their content."),
    ("lock", "lock", "daily", "Protect files from change again."),
    ("create-sibling", "create_sibling", "content", "Make a sibling: somewhere to push to."),
    ("whereis", "whereis", "content", "Tell which places have the content of files."),
    ("find", "find", "content", "List files by whether and where their content is."),
    ("addurl", "addurl", "content", "Add files from the web, and remember where they came from."),
    ("addurls", "addurls", "content", "Add files from a table of URLs."),
    ("urls", "urls", "content", "List, register, remove or check the URLs of files."),
    ("unpack", "unpack", "content", "Add the files in an archive, which can give them again."),
    ("metadata", "metadata", "content", "Show or set what is said of content: fields, tags."),
    ("siblings", "siblings", "content", "List, add or change the places that remotes lead to."),
    ("plan", "plan", "content", "Show what the rules of all places ask for."),
    ("unused", "unused", "content", "List content here that no branch or tag uses."),
    ("info", "info", "content", "Describe the data set, or files in it."),
    ("log", "log", "history", "List versions, newest first."),
    ("diff", "diff", "history", "List what differs between two versions."),
    ("subdatasets", "subdatasets", "nesting", "List the data sets inside this one."),
    ("foreach", "foreach", "nesting", "Run a command in each installed data set inside this one."),
    (
        "uninstall",
        "uninstall",
        "nesting",
        "Remove data sets inside this one, if all is elsewhere.",
    ),
    ("fsck", "fsck", "care", "Read content again and check it against its key."),
    ("config", "config", "care", "Show or set the rules of the data set."),
    ("remove", "remove", "care", "Remove a whole data set, once all of it is seen elsewhere."),
    ("doctor", "doctor", "care", "Look at this machine and data set for what could go wrong."),
    ("serve", "serve", "care", "Serve a data set over HTTP: to hold, git-annex and git."),
    ("annex-shell", "annex_shell", "care", "Be git-annex-shell, for those who come by ssh."),
    ("packed", "packed", "care", "Look after a packed store: many keys in few files."),
    (
        "archive",
        "archive",
        "care",
        "Pack a data set, or a folder, into pieces that last; restore them.",
    ),
    ("export", "export", "care", "Copy the files of a version to a folder, a tar or a zip."),
    ("export-tree", "export_tree", "care", "Make a place hold the files of a version."),
    ("export-bag", "export_bag", "care", "Make a BagIt bag of a version."),
    ("import-bag", "import_bag", "care", "Add the files of a BagIt bag, checked as they are read."),
    ("annex", "annex", "care", "Be git-annex, for programs that call it."),
    ("completion", "completion", "care", "Print a script that completes commands in your shell."),
)

VERBATIM = ("annex", "annex-shell")
"""Commands that read all of their words by themselves."""

ALIASES = (("add-archive-content", "unpack"),)
"""Other names that work; they are not listed."""

ELSEWHERE = (
    ("add", "save"),
    ("checkout", "clone"),
    ("commit", "save"),
    ("configuration", "config"),
    ("download", "get"),
    ("edit", "unlock"),
    ("fetch", "get"),
    ("foreach-dataset", "foreach"),
    ("init", "create"),
    ("install", "clone"),
    ("list", "find"),
    ("ls", "find"),
    ("rm", "remove"),
    ("show", "info"),
    ("submodule", "subdatasets"),
    ("verify", "fsck"),
)
"""What other tools call it: only told in the tip after an unknown command."""

GLOBAL_VALUED = ("-C", "-d", "--dataset", "-c")
"""The options before a command that take the next word as their value."""


def module_of(command: str) -> str | None:
    """The module of a command or alias; None when there is no such command."""
    for alias, name in ALIASES:
        if alias == command:
            command = name
    for name, module, _, _ in COMMANDS:
        if name == command:
            return module
    return None


def listing() -> str:
    """All commands with their one line, by group, for ``hold --help``."""
    width = max(len(name) for name, _, _, _ in COMMANDS)
    lines = []
    for group, title in GROUPS:
        lines.append(f"\n{title}\n")
        lines += [
            f"  {name:<{width}}  {line}\n" for name, _, home, line in COMMANDS if home == group
        ]
    return "".join(lines)
