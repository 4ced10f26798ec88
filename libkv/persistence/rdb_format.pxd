# The RDB format's numbers, what a reader says about a bad file, and a value on its way in.
#
# Source: the published description of the format (https://rdb.fnordig.de/file_format.html, which ends with version 7),
# redis-check-rdb, and files written by Redis 2.x to 8 and Valkey 8 and 9.
#
#   file    "REDIS" vvvv | "VALKEY" vvv, then records, the last one EOF; from version 5 on, CRC-64 (8 bytes, 0: not kept)
#   record  opcode and its data; or [expiry opcode] [IDLE or FREQ opcode] type, key (a string), value
#   length  00nnnnnn | 01nnnnnn n | 0x80 + 4 bytes | 0x81 + 8 bytes (big-endian) | 11eeeeee: an encoded string
#   string  length, bytes | 0xC0 int8 | 0xC1 int16 | 0xC2 int32 (little-endian) | 0xC3 length of LZF, length, LZF bytes

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.cell cimport Cell, Slice

cdef enum:
    RDB_VERSION = 10            # what is written
    RDB_VERSION_MAX = 12        # what is read; also VALKEY 080

    RDB_OP_KEY_META = 243       # Redis 8.x; Valkey: slot import
    RDB_OP_SLOT_INFO = 244
    RDB_OP_FUNCTION2 = 245
    RDB_OP_FUNCTION_PRE = 246   # of 7.0's release candidates
    RDB_OP_MODULE_AUX = 247
    RDB_OP_IDLE = 248
    RDB_OP_FREQ = 249
    RDB_OP_AUX = 250
    RDB_OP_RESIZEDB = 251
    RDB_OP_EXPIRE_MS = 252
    RDB_OP_EXPIRE = 253
    RDB_OP_SELECTDB = 254
    RDB_OP_EOF = 255

    RDB_STRING = 0
    RDB_LIST = 1
    RDB_SET = 2
    RDB_ZSET = 3                # scores as text
    RDB_HASH = 4
    RDB_ZSET_2 = 5              # scores as 8 bytes
    RDB_MODULE = 6
    RDB_MODULE_2 = 7
    RDB_HASH_ZIPMAP = 9
    RDB_LIST_ZIPLIST = 10
    RDB_SET_INTSET = 11
    RDB_ZSET_ZIPLIST = 12
    RDB_HASH_ZIPLIST = 13
    RDB_LIST_QUICKLIST = 14
    RDB_STREAM = 15
    RDB_HASH_LISTPACK = 16
    RDB_ZSET_LISTPACK = 17
    RDB_LIST_QUICKLIST_2 = 18
    RDB_STREAM_2 = 19
    RDB_SET_LISTPACK = 20
    RDB_STREAM_3 = 21
    RDB_HASH_TTL_PRE = 22       # of 7.4's release candidates; Valkey 9: a hash with fields' expiries
    RDB_HASH_LISTPACK_TTL_PRE = 23
    RDB_HASH_TTL = 24
    RDB_HASH_LISTPACK_TTL = 25
    RDB_TYPES = 26

    RDB_PLAIN = 1               # a quicklist 2 node: one element as a string
    RDB_PACKED = 2              # a listpack

cdef enum:
    # what a read comes to
    RDB_OK = 0
    RDB_CUT = 1                 # the input ends too early
    RDB_BAD = 2                 # a byte that can't be there
    RDB_UNSUPPORTED = 3         # sound, but nothing that this store can hold
    RDB_EMPTY = 4               # an empty collection, as some versions of Redis wrote by mistake
    RDB_NO_MEMORY = 5
    RDB_IO = 6                  # the input can't be read: errno in RdbError.error
    RDB_STOPPED = 7             # the caller's own function said so

cdef struct RdbError:
    int code                    # RDB_*
    int error                   # RDB_IO: the errno
    uint64_t offset             # of the byte where it was seen
    int db
    bint in_key                 # key[0:key_n] was in work
    char key[129]               # cut to 128 bytes
    size_t key_n                # its full length
    char text[256]              # what is wrong, for people

cdef struct RdbValue:
    int type                    # TYPE_*
    Cell cell                   # a collection, the caller's from now on
    Slice string                # TYPE_STRING: lies in the Source until the next read from it
