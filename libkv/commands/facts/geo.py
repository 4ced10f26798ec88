"""Facts of the commands about positions in sorted sets, as of Redis 7.0.15."""

from libkv.commands.facts.row import Row

GROUP = "geo"

# fmt: off
ROWS = [
    Row("geoadd", "3.2.0", -5, "write denyoom", "@write @geo @slow",
        "Adds members with their positions to a geospatial index", "O(log N) an item",
        keys=["RW update @1"], history=["6.2.0 CH, NX and XX"],
        args='key:key@0 condition:oneof?^6.2.0(nx="NX" xx="XX") change="CH"?^6.2.0 '
             'longitude_latitude_member:block*(longitude:double latitude:double member)'),
    Row("geodist", "3.2.0", -4, "readonly", "@read @geo @slow",
        "Tells the distance between two members", "O(log N)",
        keys=["RO access @1"], args='key:key@0 member1 member2 unit:oneof?(m="M" km="KM" ft="FT" mi="MI")'),
    Row("geohash", "3.2.0", -2, "readonly", "@read @geo @slow",
        "Tells the members' positions as Geohash strings", "O(log N) a member",
        keys=["RO access @1"], args="key:key@0 member*"),
    Row("geopos", "3.2.0", -2, "readonly", "@read @geo @slow",
        "Tells the members' longitudes and latitudes", "O(N), N members asked for",
        keys=["RO access @1"], args="key:key@0 member*"),
    Row("georadius", "3.2.0", -6, "write denyoom movablekeys", "@write @geo @slow",
        "Finds members around a position, and may store them", "O(N+log(M)), N members in the bounding box, M in all",
        keys=["RO access @1", "OW update keyword STORE 6", "OW update keyword STOREDIST 6"],
        history=["6.2.0 COUNT with ANY", "7.0.0 Units in upper case"], doc="deprecated",
        deprecated=("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
        args='key:key@0 longitude:double latitude:double radius:double unit:oneof(m="M" km="KM" ft="FT" mi="MI") '
             'withcoord="WITHCOORD"? withdist="WITHDIST"? withhash="WITHHASH"? count:block?(count:integer="COUNT" '
             'any="ANY"?^6.2.0) order:oneof?(asc="ASC" desc="DESC") key:key@1="STORE"? key:key@2="STOREDIST"?'),
    Row("georadius_ro", "3.2.10", -6, "readonly", "@read @geo @slow",
        "Finds members around a position", "O(N+log(M)), N members in the bounding box, M in all",
        keys=["RO access @1"], history=["6.2.0 COUNT with ANY"], doc="deprecated",
        deprecated=("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
        args='key:key@0 longitude:double latitude:double radius:double unit:oneof(m="M" km="KM" ft="FT" mi="MI") '
             'withcoord="WITHCOORD"? withdist="WITHDIST"? withhash="WITHHASH"? count:block?(count:integer="COUNT" '
             'any="ANY"?^6.2.0) order:oneof?(asc="ASC" desc="DESC")'),
    Row("georadiusbymember", "3.2.0", -5, "write denyoom movablekeys", "@write @geo @slow",
        "Finds members around another member, and may store them",
        "O(N+log(M)), N members in the bounding box, M in all",
        keys=["RO access @1", "OW update keyword STORE 5", "OW update keyword STOREDIST 5"],
        history=["7.0.0 Units in upper case"], doc="deprecated",
        deprecated=("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"),
        args='key:key@0 member radius:double unit:oneof(m="M" km="KM" ft="FT" mi="MI") withcoord="WITHCOORD"? '
             'withdist="WITHDIST"? withhash="WITHHASH"? count:block?(count:integer="COUNT" any="ANY"?) '
             'order:oneof?(asc="ASC" desc="DESC") key:key@1="STORE"? key:key@2="STOREDIST"?'),
    Row("georadiusbymember_ro", "3.2.10", -5, "readonly", "@read @geo @slow",
        "Finds members around another member", "O(N+log(M)), N members in the bounding box, M in all",
        keys=["RO access @1"], doc="deprecated",
        deprecated=("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
        args='key:key@0 member radius:double unit:oneof(m="M" km="KM" ft="FT" mi="MI") withcoord="WITHCOORD"? '
             'withdist="WITHDIST"? withhash="WITHHASH"? count:block?(count:integer="COUNT" any="ANY"?) '
             'order:oneof?(asc="ASC" desc="DESC")'),
    Row("geosearch", "6.2.0", -7, "readonly", "@read @geo @slow",
        "Finds members inside a circle or a box", "O(N+log(M)), N members around the shape, M inside",
        keys=["RO access @1"], history=["7.0.0 Units in upper case"],
        args='key:key@0 from:oneof(member:string="FROMMEMBER" '
             'longitude_latitude:block="FROMLONLAT"(longitude:double latitude:double)) '
             'by:oneof(circle:block(radius:double="BYRADIUS" unit:oneof(m="M" km="KM" ft="FT" mi="MI")) '
             'box:block(width:double="BYBOX" height:double unit:oneof(m="M" km="KM" ft="FT" mi="MI"))) '
             'order:oneof?(asc="ASC" desc="DESC") count:block?(count:integer="COUNT" any="ANY"?) '
             'withcoord="WITHCOORD"? withdist="WITHDIST"? withhash="WITHHASH"?'),
    Row("geosearchstore", "6.2.0", -8, "write denyoom", "@write @geo @slow",
        "Stores the members inside a circle or a box in another key",
        "O(N+log(M)), N members around the shape, M inside",
        keys=["OW update @1", "RO access @2"], history=["7.0.0 Units in upper case"],
        args='destination:key@0 source:key@1 from:oneof(member:string="FROMMEMBER" '
             'longitude_latitude:block="FROMLONLAT"(longitude:double latitude:double)) '
             'by:oneof(circle:block(radius:double="BYRADIUS" unit:oneof(m="M" km="KM" ft="FT" mi="MI")) '
             'box:block(width:double="BYBOX" height:double unit:oneof(m="M" km="KM" ft="FT" mi="MI"))) '
             'order:oneof?(asc="ASC" desc="DESC") count:block?(count:integer="COUNT" any="ANY"?) '
             'storedist="STOREDIST"?'),
]
