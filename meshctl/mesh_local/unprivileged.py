"""The user as whom our images run, and the few files of /etc that name it."""

from mesh_local.oci import Entries, File, Folder

# Neither root nor anybody's; the number that distroless images use for the same purpose.
USER = "65532:65532"

SYSTEM_FILES: Entries = {
    "etc/passwd": File(b"root:x:0:0:root:/root:/sbin/nologin\nmesh:x:65532:65532::/tmp:/sbin/nologin\n"),
    "etc/group": File(b"root:x:0:\nmesh:x:65532:\n"),
    "etc/nsswitch.conf": File(b"hosts: files dns\n"),
    "tmp": Folder(0o1777),
}
