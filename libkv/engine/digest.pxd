# A digest of a value and of all the data, equal to what DEBUG DIGEST-VALUE and DEBUG DIGEST of Redis 7.0 answer: two
# stores with the same digest hold the same data, whatever their layouts.
#
# With x + y for the exclusive or of 20 bytes each, and 32-bit numbers in network order:
#
#   add(d, bytes)       d + SHA1(bytes)                  order of the added doesn't matter
#   mix(d, bytes)       SHA1(d + SHA1(bytes))            order matters
#
#   value   mix type, then: string: mix bytes | list: mix each | set: add each | hash: add mix(mix(0, field), value) of
#           each | sorted set: add mix(mix(0, member), score printed by %.17g) of each | stream: of each entry mix its ID as
#           ms.seq, then mix each field and value; then with an expiry: add "!!expire!!"
#   data    for each database with keys: mix its number; for each key: add mix(0, key) continued by its value

from libc.stdint cimport uint8_t

from libkv.engine.entry cimport Entry
from libkv.engine.types cimport Kv

cdef void digest_entry(Entry* e, uint8_t* digest) noexcept nogil        # continues digest[20]
cdef void digest_data(Kv* kv, uint8_t* digest) noexcept nogil           # digest[20]: of everything; all zero without keys
