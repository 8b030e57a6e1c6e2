-- Wayport's protocols in Wireshark and tshark. README.md says how to install and use it.
--
--   wayport.teleport     packets between two peers                          spec/teleport.md   TCP
--   wayport.link         client side of a link gateway: frames, commands    spec/link.md       TCP
--   wayport.link_server  its server side: challenge and answer, then those  spec/link.md       TCP
--   wayport.snet         handshakes of resumable streams                    spec/snet.md       TCP
--   wayport.kcp          segments, FEC headers                              spec/kcp.md        UDP
--   wayport.route        identify and answer of a route gateway             spec/route.md      TCP
--
-- No port is claimed unless a preference or "Decode As" says so. Names of fields are those of `wayport decode --json`, else
-- the words of the spec. What a peer would refuse is marked with expert information, and ends the dissection of its
-- direction: a byte stream cannot resynchronise.
--
-- Bytes of a capture never raise a Lua error: each read is checked against what is there. Work is linear in the bytes
-- shown. What is remembered is one small record for each call with bytes of a TCP connection, so that frames can be
-- shown again in any order; a postdissector, which shows nothing, says where one dissection of a frame ends.

local MEBI = 1024 * 1024
local DECODED_HEADER_MAX = MEBI          -- a longer Teleport header is shown as bytes
local TEXT_MAX = 64 * 1024               -- a longer body is shown as bytes
local INFLATED_MAX = 64 * MEBI           -- as the read limit of spec/teleport 5
local DEFLATE_RATIO_MAX = 1032           -- no deflate data grows more than that
local CHECKED_MAX = MEBI                 -- inflated bytes whose CRC-32 is compared
local MEMBERS_MAX = 16                   -- of gzip, in one body
local NESTING_MAX = 64                   -- of JSON

local TWO_32 = 4294967296

-- === text and numbers ===

local function le32(s, at)
  local a, b, c, d = s:byte(at, at + 3)
  return a + b * 256 + c * 65536 + d * 16777216
end

-- Bytes of the UTF-8 sequence at `at`, nil if there is none.
local function sequence_length(s, at)
  local a, b, c, d = s:byte(at, at + 3)
  local function tail(x) return x and x >= 0x80 and x <= 0xbf end
  if a < 0x80 then return 1 end
  if a < 0xc2 or a > 0xf4 or not tail(b) then return nil end
  if a < 0xe0 then return 2 end
  if (a == 0xe0 and b < 0xa0) or (a == 0xed and b > 0x9f) or not tail(c) then return nil end
  if a < 0xf0 then return 3 end
  if (a == 0xf0 and b < 0x90) or (a == 0xf4 and b > 0x8f) or not tail(d) then return nil end
  return 4
end

-- Bytes that are no UTF-8 become U+FFFD, each of them. Then whether there were none.
local function clean_utf8(s)
  if not s:find("[\128-\255]") then return s, true end
  local out, clean, at = {}, true, 1
  while at <= #s do
    local _, to = s:find("^[^\128-\255]+", at)
    if not to then
      local length = sequence_length(s, at)
      to = length and at + length - 1
    end
    if to then
      out[#out + 1] = s:sub(at, to)
      at = to + 1
    else
      clean = false
      out[#out + 1] = "\239\191\189"
      at = at + 1
    end
  end
  return table.concat(out), clean
end

local function utf8_of(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xc0 + math.floor(code / 64), 0x80 + code % 64) end
  local low = string.char(0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  if code < 0x10000 then return string.char(0xe0 + math.floor(code / 4096)) .. low end
  return string.char(0xf0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64) .. low
end

-- Wireshark's strings end at a zero byte.
local function is_text(s)
  local _, clean = clean_utf8(s)
  return clean and not s:find("\0", 1, true)
end

local function in_line(s, max)
  s = clean_utf8(s:sub(1, max)):gsub("%c", ".")
  return s
end

-- Exclusive or, where Lua has none as a function.
local xor = (bit32 and bit32.bxor) or (bit and function(a, b) return bit.bxor(a, b) % TWO_32 end) or
  load("return function(a, b) return a ~ b end")()

local crc_table
local function crc32(s)
  if not crc_table then
    crc_table = {}
    for i = 0, 255 do
      local c = i
      for _ = 1, 8 do
        local odd = c % 2 == 1
        c = math.floor(c / 2)
        if odd then c = xor(c, 0xedb88320) end
      end
      crc_table[i] = c
    end
  end
  local crc = 0xffffffff
  for i = 1, #s do
    crc = xor(crc_table[xor(crc, s:byte(i)) % 256], math.floor(crc / 256))
  end
  return xor(crc, 0xffffffff)
end

-- === streams: what TCP connections need between two calls ===

local tcp_stream = Field.new("tcp.stream")

-- Between two calls of a postdissector a frame is dissected once.
local dissections = 0
local counter = Proto("wayport", "Wayport (counts dissections, shows nothing)")
function counter.dissector()
  dissections = dissections + 1
  return 0
end
register_postdissector(counter)

-- For one protocol. `calls` makes a frame show the same whenever it is dissected: lists of states by frame and offset. TLS
-- hands over each record from offset 0, and a frame may have several; `turns` says which is next in this dissection.
local function new_streams()
  local streams = {}
  function streams.reset()
    streams.connections, streams.calls, streams.turns = {}, {}, {}
  end
  streams.reset()
  return streams
end

local function copy_of(state)
  local copy = {}
  for key, value in pairs(state) do copy[key] = value end
  return copy
end

-- The state of the direction that these bytes go: `messages` read so far, `offset` of the next, `to_server`, `failed`;
-- `connection` is shared with the other direction, which comes first in time: only what it has settled is copied. Then what
-- leave() takes.
local function enter(streams, tvb, pinfo)
  -- Not its length: when a frame is shown again, TCP has already put together what came first in pieces.
  local place = pinfo.number .. "/" .. tvb:offset()
  if streams.dissection ~= dissections then streams.dissection, streams.turns = dissections, {} end
  local calls, turn = streams.calls[place] or {}, streams.turns[place] or 1
  streams.calls[place] = calls
  if pinfo.visited and #calls > 0 then
    local copy = copy_of(calls[math.min(turn, #calls)])
    copy.connection = {kind = copy.kind}
    return copy, place
  end
  local from = tostring(pinfo.src) .. " " .. pinfo.src_port
  local to = tostring(pinfo.dst) .. " " .. pinfo.dst_port
  local stream = tcp_stream()
  local id = stream and tostring(stream.value) or (from < to and from .. " " .. to or to .. " " .. from)
  local connection = streams.connections[id]
  if not connection then
    connection = {opener = from, directions = {}}
    streams.connections[id] = connection
  end
  local state = connection.directions[from]
  if not state then
    local to_server
    if pinfo.dst_port ~= pinfo.src_port and pinfo.match_uint == pinfo.dst_port then
      to_server = true
    elseif pinfo.dst_port ~= pinfo.src_port and pinfo.match_uint == pinfo.src_port then
      to_server = false
    else
      to_server = (connection.opener == from) ~= (streams.server_opens or false)
    end
    state = {messages = 0, offset = 0, to_server = to_server}
    connection.directions[from] = state
  end
  local kept = copy_of(state)
  kept.kind, kept.connection = connection.kind, nil
  calls[turn] = kept
  state.connection = connection
  return state, place
end

-- After a call that took some of its bytes. One that only asked for more may not come again when the frame is shown again;
-- the next has the same state.
local function leave(streams, place)
  streams.turns[place] = (streams.turns[place] or 1) + 1
end

-- TCP calls again with the whole next segment. If told a number of bytes twice in one segment, it loses them when the frame
-- is shown again; so numbers are only for whole messages.
local MORE = math.huge

-- Dissects what is there, message after message; whether any of it was taken. `protocol` has
--   size(state, tvb, at, left) -> bytes of the message at `at`, then what show() needs of what was read for it;
--                                 MORE: too few are there to say;  nil, code, detail: refused
--   show(state, tvb, at, size, pinfo, tree, more)
local function dissect_messages(protocol, state, tvb, pinfo, tree)
  local length, at = tvb:len(), 0
  local cut = tvb:reported_len() > length
  pinfo.cols.protocol = protocol.column
  pinfo.cols.info:clear()
  pinfo.cols.info:fence()
  local function fail(code, detail, from)
    state.failed = code
    local shown = tree:add(protocol.shown, tvb(from, length - from), protocol.title .. ", " .. code)
    shown:add(protocol.fields.offset, tvb(from, 0), UInt64.new(state.offset)):set_generated()
    shown:add(protocol.fields.error_code, tvb(from, 0), code):set_generated()
    shown:add(protocol.fields.error_detail, tvb(from, 0), detail):set_generated()
    shown:add_proto_expert_info(protocol.experts[code] or protocol.experts.malformed, detail)
    pinfo.cols.info:append(" [" .. code .. ": " .. detail .. "]")
  end
  while at < length do
    local left = length - at
    if state.failed then
      tree:add(protocol.shown, tvb(at, left), protocol.title .. ", " .. left .. " bytes after an error")
        :add(protocol.fields.unread, tvb(at, left))
      pinfo.cols.info:append(" [after an error]")
      return true
    end
    local size, code, detail = protocol.size(state, tvb, at, left)
    if not size then
      fail(code, detail, at)
      return true
    end
    if size > left then
      if cut then
        fail("cut", "the capture has not all bytes of this frame", at)
      elseif pinfo.can_desegment == 0 then
        fail("cut", "the message goes on in another segment, and TCP reassembly is off", at)
      else
        pinfo.desegment_offset = at
        pinfo.desegment_len = size == MORE and DESEGMENT_ONE_MORE_SEGMENT or size - left
      end
      return at > 0 or state.failed ~= nil
    end
    protocol.show(state, tvb, at, size, pinfo, tree, code)
    state.messages = state.messages + 1
    state.offset = state.offset + size
    at = at + size
  end
  return at > 0
end

local function dissect_stream(protocol, tvb, pinfo, tree)
  local state, place = enter(protocol.streams, tvb, pinfo)
  if dissect_messages(protocol, state, tvb, pinfo, tree) then leave(protocol.streams, place) end
  return tvb:len()
end

-- What every protocol over TCP has.
local function stream_fields(name, fields)
  fields.offset = ProtoField.uint64(name .. ".offset", "Offset in its stream")
  fields.error_code = ProtoField.string(name .. ".error.code", "Error")
  fields.error_detail = ProtoField.string(name .. ".error.detail", "Detail")
  fields.unread = ProtoField.bytes(name .. ".unread", "Bytes after an error")
  return fields
end

local function new_experts(name, more)
  local experts = {
    malformed = ProtoExpert.new(name .. ".malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR),
    too_large = ProtoExpert.new(name .. ".too_large", "Over a limit", expert.group.MALFORMED, expert.severity.ERROR),
    unsupported = ProtoExpert.new(name .. ".unsupported", "Unsupported", expert.group.UNDECODED, expert.severity.WARN),
    cut = ProtoExpert.new(name .. ".cut", "Not in the capture", expert.group.UNDECODED, expert.severity.NOTE),
  }
  for key, value in pairs(more or {}) do experts[key] = value end
  return experts
end

local function values_of(keyed)
  local list = {}
  for _, value in pairs(keyed) do list[#list + 1] = value end
  return list
end

-- Claims the ports of the preference, and gives up those it claimed before.
local function follow_ports(protocol, table_name)
  local proto, claimed = protocol.proto, ""
  local ports = DissectorTable.get(table_name)
  proto.prefs.ports = Pref.range("Ports", "", "Ports of " .. protocol.title .. ", for example 9000,9010-9019; none by default",
    65535)
  function proto.prefs_changed()
    local wanted = tostring(proto.prefs.ports)
    if wanted == claimed then return end
    if claimed ~= "" then ports:remove(claimed, proto) end
    if wanted ~= "" then ports:add(wanted, proto) end
    claimed = wanted
  end
  ports:add_for_decode_as(proto)
end

-- Makes the protocol: fields, experts, dissector, ports.
local function register_stream(protocol)
  local proto = protocol.proto
  protocol.shown = protocol.shown or proto
  protocol.streams = new_streams()
  protocol.streams.server_opens = protocol.server_opens
  if protocol.shown == proto then
    proto.fields = values_of(protocol.fields)
    proto.experts = values_of(protocol.experts)
  end
  proto.init = protocol.streams.reset
  function proto.dissector(tvb, pinfo, tree) return dissect_stream(protocol, tvb, pinfo, tree) end
  follow_ports(protocol, "tcp.port")
  local tls = DissectorTable.get("tls.port")
  if tls then tls:add_for_decode_as(proto) end
end

-- === teleport: headers ===

local INT32 = {type = true, gzip = true, status_code = true}
local TEXT = {uri = true, status = true}

local function empty_header()
  return {seq = UInt64.new(0), type = 0, uri = "", gzip = 0, status_code = 0, status = ""}
end

-- Decimal digits as 64 bits; nil if they are more.
local function uint64_of(digits)
  if #digits > 20 then return nil end
  local low, high = 0, 0
  for digit in digits:gmatch("%d") do
    low = low * 10 + tonumber(digit)
    high = high * 10 + math.floor(low / TWO_32)
    low = low % TWO_32
    if high >= TWO_32 then return nil end
  end
  return UInt64.new(low, high)
end

local ESCAPED = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/"}

-- The string whose quote is at `at`, and where it ends; nil: there is none.
local function json_string(s, at)
  if s:byte(at) ~= 0x22 then return nil end
  local out = {}
  at = at + 1
  while true do
    local stop = s:find('[%c"\\]', at)
    -- %c has DEL, which may stand in a string.
    while stop and s:byte(stop) == 0x7f do stop = s:find('[%c"\\]', stop + 1) end
    if not stop then return nil end
    out[#out + 1] = s:sub(at, stop - 1)
    local c = s:sub(stop, stop)
    if c == '"' then
      return (clean_utf8(table.concat(out))), stop + 1
    elseif c ~= "\\" then
      return nil
    end
    local kind = s:sub(stop + 1, stop + 1)
    if ESCAPED[kind] then
      out[#out + 1] = ESCAPED[kind]
      at = stop + 2
    else
      local digits = s:match("^u(%x%x%x%x)", stop + 1)
      if not digits then return nil end
      local code = tonumber(digits, 16)
      at = stop + 6
      if code >= 0xd800 and code < 0xdc00 then
        local second = tonumber(s:match("^\\u([dD][c-fC-F]%x%x)", at) or "", 16)
        if second then
          code = 0x10000 + (code - 0xd800) * 1024 + second - 0xdc00
          at = at + 6
        else
          code = 0xfffd
        end
      elseif code >= 0xdc00 and code < 0xe000 then
        code = 0xfffd
      end
      out[#out + 1] = utf8_of(code)
    end
  end
end

local function json_space(s, at)
  return s:match("^[ \t\r\n]*()", at)
end

-- The number at `at` as text, and where it ends.
local function json_number(s, at)
  local to = s:match("^-?0()", at) or s:match("^-?[1-9]%d*()", at)
  if not to then return nil end
  to = s:match("^%.%d+()", to) or to
  to = s:match("^[eE][+-]?%d+()", to) or to
  return s:sub(at, to - 1), to
end

-- Where the value at `at` ends; nil if there is none.
local function json_skip(s, at, depth)
  local c = s:sub(at, at)
  if c == '"' then
    local _, to = json_string(s, at)
    return to
  elseif c == "{" or c == "[" then
    if depth >= NESTING_MAX then return nil end
    local close = c == "{" and "}" or "]"
    at = json_space(s, at + 1)
    if s:sub(at, at) == close then return at + 1 end
    while true do
      if c == "{" then
        local _, to = json_string(s, at)
        if not to then return nil end
        to = json_space(s, to)
        if s:sub(to, to) ~= ":" then return nil end
        at = json_space(s, to + 1)
      end
      at = json_skip(s, at, depth + 1)
      if not at then return nil end
      at = json_space(s, at)
      local mark = s:sub(at, at)
      if mark == close then return at + 1 end
      if mark ~= "," then return nil end
      at = json_space(s, at + 1)
    end
  end
  local _, to = json_number(s, at)
  return to or s:match("^true()", at) or s:match("^false()", at) or s:match("^null()", at)
end

-- The header, or nil and why not.
local function json_header(s)
  local header = empty_header()
  local at = json_space(s, 1)
  local function wanted(what)
    return nil, "json header: " .. what .. " expected at byte " .. (at - 1) .. " of the header"
  end
  if s:match("^null()", at) then
    at = at + 4
  else
    if s:sub(at, at) ~= "{" then return wanted("an object") end
    at = json_space(s, at + 1)
    if s:sub(at, at) == "}" then
      at = at + 1
    else
      repeat
        at = json_space(s, at)
        local key, to = json_string(s, at)
        if not key then return wanted("a key") end
        at = json_space(s, to)
        if s:sub(at, at) ~= ":" then return wanted("':'") end
        at = json_space(s, at + 1)
        -- Go reads U+017F as an s, too. Its other oddity, U+212A, is in no name with a k: there is none.
        key = key:gsub("\197\191", "s"):lower()
        local null = header[key] ~= nil and s:match("^null()", at)
        if null then
          at = null
        elseif TEXT[key] then
          header[key], to = json_string(s, at)
          if not to then return nil, "json header: " .. key .. " must be a string" end
          at = to
        elseif header[key] ~= nil then
          local digits
          digits, to = json_number(s, at)
          local value
          if key == "seq" then
            value = digits and digits:match("^%d+$") and uint64_of(digits)
          else
            value = digits and digits:match("^-?%d+$") and #digits <= 11 and tonumber(digits)
            if value and (value < -2147483648 or value > 2147483647) then value = nil end
          end
          if not value then return nil, "json header: " .. key .. " must be a whole number within its range" end
          header[key], at = value, to
        else
          to = json_skip(s, at, 1)
          if not to then return wanted("a value nested at most 64 deep") end
          at = to
        end
        at = json_space(s, at)
        local comma = s:sub(at, at) == ","
        if comma then at = at + 1 end
      until not comma
      if s:sub(at, at) ~= "}" then return wanted("',' or '}'") end
      at = at + 1
    end
  end
  at = json_space(s, at)
  if at <= #s then return wanted("the end") end
  return header
end

-- The varint at `at` as its low and high half, and where it ends; nil: cut off, or longer than ten bytes.
local function varint(s, at)
  local low, high = 0, 0
  for i = 0, 9 do
    local byte = s:byte(at + i)
    if not byte then return nil end
    local seven = byte % 128
    if i < 4 then
      low = low + seven * 2 ^ (7 * i)
    elseif i == 4 then
      low = low + seven % 16 * 2 ^ 28
      high = math.floor(seven / 16)
    else
      high = high + seven * 2 ^ (7 * i - 32)
    end
    if byte < 128 then return math.floor(low % TWO_32), math.floor(high % TWO_32), at + i + 1 end
  end
  return nil
end

local PROTOBUF_NAMES = {"seq", "type", "uri", "gzip", "status_code", "status"}

local function protobuf_header(s)
  local header = empty_header()
  local at, groups = 1, {}
  local function bad(what)
    return nil, "protobuf header: " .. what .. ", at byte " .. (at - 1) .. " of " .. #s
  end
  while at <= #s do
    local low, high, to = varint(s, at)
    if not low then return bad("a tag cut off, or a number of more than 10 bytes") end
    if to - at > 5 or high > 0 then return bad("a tag of more than 5 bytes") end
    local field, wire = math.floor(low / 8), low % 8
    if field == 0 then return bad("field number 0") end
    local name = #groups == 0 and PROTOBUF_NAMES[field] or nil
    if name and wire ~= (TEXT[name] and 2 or 0) then return bad("wire type " .. wire .. " for field " .. field) end
    if wire == 0 then
      low, high, to = varint(s, to)
      if not low then return bad((name or "a field") .. " cut off, or a number of more than 10 bytes") end
      if name == "seq" then
        header.seq = UInt64.new(low, high)
      elseif name then
        header[name] = low >= TWO_32 / 2 and low - TWO_32 or low
      end
    elseif wire == 2 then
      low, high, to = varint(s, to)
      if not low or high > 0 or low > #s - to + 1 then
        return bad((name or "a field") .. " cut off, or a number of more than 10 bytes")
      end
      if name then header[name] = s:sub(to, to + low - 1) end
      to = to + low
    elseif wire == 1 or wire == 5 then
      to = to + (wire == 1 and 8 or 4)
      if to > #s + 1 then return bad("a field cut off") end
    elseif wire == 3 then
      if #groups >= NESTING_MAX then return bad("groups more than 64 deep") end
      groups[#groups + 1] = field
    elseif wire == 4 and groups[#groups] == field then
      groups[#groups] = nil
    else
      return bad("wire type " .. wire .. " for field " .. field)
    end
    at = to
  end
  if #groups > 0 then return bad("a group cut off") end
  return header
end

-- === teleport: bodies ===

-- Inflates as spec/teleport 5 wants it: whole members, or data that ends in a sync flush. The bytes, or nil and why not.
-- Wireshark inflates one member and does not say where it ended, so the size in each trailer has to agree.
local function inflate(tvb, at, size)
  if size * DEFLATE_RATIO_MAX > INFLATED_MAX then
    return nil, "not inflated here: " .. size .. " bytes could become more than " .. INFLATED_MAX
  end
  local raw = tvb:raw(at, size)
  local out, from = {}, 1
  for _ = 1, MEMBERS_MAX do
    local range = tvb(at + from - 1, size - from + 1):uncompress("inflated body")
    local member = range and range:len() > 0 and range:raw() or ""
    if not range and not raw:find("^\31\139\8\0.......[\0\1\3]", from) then return nil, "malformed: gzip: it does not inflate" end
    out[#out + 1] = member
    -- The trailer: before the next member or at the end.
    local next_at = from
    repeat
      next_at = raw:find("\31\139\8", next_at + 18, true)
    until not next_at or le32(raw, next_at - 4) == #member
    local last = (next_at or #raw + 1) - 1
    local whole = last - from >= 19 and le32(raw, last - 3) == #member
    if whole and #member <= CHECKED_MAX and crc32(member) ~= le32(raw, last - 7) then
      return nil, "malformed: gzip: incorrect data check"
    end
    if not next_at then
      if whole or (range or member == "") and raw:sub(-4) == "\0\0\255\255" then return table.concat(out) end
      return nil, "malformed: gzip: cut off, or followed by something else"
    end
    from = next_at
  end
  return nil, "not inflated here: more than " .. MEMBERS_MAX .. " gzip members"
end

-- === teleport ===

local CODECS = {[0] = "none", [0x6a] = "json", [0x70] = "protobuf", [0x73] = "string", [0x62] = "flatbuffers"}
local TYPES = {[1] = "pull", [2] = "reply", [3] = "push", [4] = "push(2.0)"}

local function codec_name(id)
  return CODECS[id] or string.format("0x%02x", id)
end

local teleport = {
  proto = Proto("wayport.teleport", "Wayport Teleport"),
  title = "Teleport",
  column = "Teleport",
  fields = stream_fields("wayport.teleport", {
    size = ProtoField.uint32("wayport.teleport.size", "Size"),
    type = ProtoField.int32("wayport.teleport.type", "Type"),
    type_name = ProtoField.string("wayport.teleport.type_name", "Type name"),
    seq = ProtoField.uint64("wayport.teleport.seq", "Sequence number"),
    uri = ProtoField.string("wayport.teleport.uri", "URI"),
    uri_hex = ProtoField.bytes("wayport.teleport.uri_hex", "URI, no UTF-8"),
    gzip = ProtoField.int32("wayport.teleport.gzip", "Gzip level"),
    status_code = ProtoField.int32("wayport.teleport.status_code", "Status code"),
    status = ProtoField.string("wayport.teleport.status", "Status"),
    status_hex = ProtoField.bytes("wayport.teleport.status_hex", "Status, no UTF-8"),
    drain_from = ProtoField.uint64("wayport.teleport.drain_from", "Drain notice: no pull is executed from"),
    header_codec = ProtoField.string("wayport.teleport.header_codec", "Header codec"),
    header_bytes = ProtoField.uint32("wayport.teleport.header_bytes", "Header bytes"),
    header_raw = ProtoField.bytes("wayport.teleport.header", "Header, too long to decode here"),
    body_codec = ProtoField.string("wayport.teleport.body_codec", "Body codec"),
    body_bytes = ProtoField.uint32("wayport.teleport.body_bytes", "Body bytes"),
    body_note = ProtoField.string("wayport.teleport.body_note", "Note"),
    inflated_bytes = ProtoField.uint32("wayport.teleport.inflated_bytes", "Inflated bytes"),
    body = ProtoField.string("wayport.teleport.body", "Body"),
    body_hex = ProtoField.bytes("wayport.teleport.body_hex", "Body, no text"),
  }),
  experts = new_experts("wayport.teleport", {
    body = ProtoExpert.new("wayport.teleport.body_malformed", "Body does not inflate", expert.group.MALFORMED,
      expert.severity.ERROR),
    type = ProtoExpert.new("wayport.teleport.type_unsupported", "Unsupported type", expert.group.PROTOCOL, expert.severity.WARN),
    codec = ProtoExpert.new("wayport.teleport.codec_unknown", "Unknown body codec", expert.group.UNDECODED,
      expert.severity.WARN),
    status = ProtoExpert.new("wayport.teleport.status_error", "Reply with an error", expert.group.RESPONSE_CODE,
      expert.severity.NOTE),
  }),
}
teleport.proto.prefs.read_limit = Pref.uint("Largest packet in bytes", 64 * MEBI, "As `wayport decode --read-limit`; 0: any")

function teleport.size(_, tvb, at, left)
  local limit = teleport.proto.prefs.read_limit
  if left < 4 then return MORE end
  local header_length = tvb(at, 4):uint()
  if header_length == 0 then return nil, "malformed", "teleport: header length 0, it is at least 1" end
  if limit > 0 and header_length + 4 > limit then
    return nil, "too_large", "teleport: header length " .. header_length .. " + 4 is over the limit " .. limit
  end
  if left < 5 then return MORE end
  local codec = tvb(at + 4, 1):uint()
  if codec ~= 0x6a and codec ~= 0x70 then
    return nil, "unsupported",
      string.format("teleport: header codec id 0x%02x, known are 'j' (json) and 'p' (protobuf)", codec)
  end
  if left < 4 + header_length then
    -- Few calls for a large one, and what TCP likes better for the others.
    return header_length > TEXT_MAX and header_length + 8 or MORE
  end
  local header, why
  if header_length <= DECODED_HEADER_MAX then
    local text = header_length > 1 and tvb:raw(at + 5, header_length - 1) or ""
    header, why = (codec == 0x6a and json_header or protobuf_header)(text)
    if not header then return nil, "malformed", why end
  end
  if left < 8 + header_length then return MORE end
  local body_length = tvb(at + 4 + header_length, 4):uint()
  if limit > 0 and body_length > 0 and header_length + body_length + 8 > limit then
    return nil, "too_large", "teleport: header length " .. header_length .. " + body length " .. body_length ..
      " + 8 is over the limit " .. limit
  end
  return header_length + body_length + 8, header
end

-- As text if Wireshark can show it, else as bytes in NAME_hex.
local function add_text(tree, fields, name, range, text)
  if is_text(text) then return tree:add(fields[name], range, text) end
  return tree:add(fields[name .. "_hex"], ByteArray.new(text, true):tvb(name)())
end

local function add_body(shown, tvb, at, size, gzip)
  local fields, range = teleport.fields, tvb(at, size)
  local plain
  if gzip ~= 0 and size > 0 then
    if size < 2 or tvb(at, 2):uint() ~= 0x1f8b then
      shown:add(fields.body_note, range, "not compressed"):set_generated()
    else
      local why
      plain, why = inflate(tvb, at, size)
      if plain then
        shown:add(fields.inflated_bytes, range, #plain):set_generated()
      else
        local note = shown:add(fields.body_note, range, why):set_generated()
        if why:find("^malformed") then note:add_proto_expert_info(teleport.experts.body, why) end
      end
    end
  end
  if plain then
    local inflated = plain == "" and tvb(at, 0) or ByteArray.new(plain, true):tvb("Body")()
    if #plain <= TEXT_MAX and is_text(plain) then return shown:add(fields.body, inflated, plain):set_generated() end
    return shown:add(fields.body_hex, inflated):set_generated()
  end
  local text = size == 0 and "" or size <= TEXT_MAX and range:raw()
  if text and is_text(text) then return shown:add(fields.body, range, text) end
  return shown:add(fields.body_hex, range)
end

function teleport.show(state, tvb, at, size, pinfo, tree, header)
  local fields = teleport.fields
  local header_length = tvb(at, 4):uint()
  local body_at = at + 4 + header_length
  local body_length = tvb(body_at, 4):uint()
  local in_header = tvb(at + 5, header_length - 1)
  local shown = tree:add(teleport.proto, tvb(at, size), "Teleport")
  shown:add(fields.offset, tvb(at, 0), UInt64.new(state.offset)):set_generated()
  shown:add(fields.size, tvb(at, size), size):set_generated()
  local line = "packet"
  if header then
    local name = TYPES[header.type] or "type(" .. header.type .. ")"
    line = name .. " seq=" .. tostring(header.seq)
    local type_shown = shown:add(fields.type, in_header, header.type)
    shown:add(fields.type_name, in_header, name)
    if not TYPES[header.type] then type_shown:add_proto_expert_info(teleport.experts.type, "type " .. header.type) end
    shown:add(fields.seq, in_header, header.seq)
    add_text(shown, fields, "uri", in_header, header.uri)
    shown:add(fields.gzip, in_header, header.gzip)
    local code = shown:add(fields.status_code, in_header, header.status_code)
    add_text(shown, fields, "status", in_header, header.status)
    if header.uri ~= "" then line = line .. " " .. in_line(header.uri, 128) end
    if header.type == 2 then line = line .. " " .. header.status_code .. " " .. in_line(header.status, 64) end
    local from = header.type == 2 and header.status_code == 503 and tostring(header.seq) == "18446744073709551615" and
      header.uri:match("^/wayport/drain%?from=(%d+)$")
    from = from and uint64_of(from)
    if from then
      shown:add(fields.drain_from, in_header, from)
    elseif header.type == 2 and header.status_code ~= 200 then
      code:add_proto_expert_info(teleport.experts.status, header.status_code .. " " .. in_line(header.status, 64))
    end
  else
    shown:add(fields.header_raw, in_header)
  end
  shown:add(fields.header_codec, tvb(at + 4, 1), codec_name(tvb(at + 4, 1):uint()))
  shown:add(fields.header_bytes, tvb(at, 4), header_length - 1)
  if body_length > 0 then
    local id = tvb(body_at + 4, 1)
    local codec = shown:add(fields.body_codec, id, codec_name(id:uint()))
    if id:uint() == 0 or not CODECS[id:uint()] then
      codec:add_proto_expert_info(teleport.experts.codec, "body codec id " .. string.format("0x%02x", id:uint()))
    end
  end
  local body_bytes = body_length > 0 and body_length - 1 or 0
  shown:add(fields.body_bytes, tvb(body_at, 4), body_bytes)
  add_body(shown, tvb, body_at + (body_length > 0 and 5 or 4), body_bytes, header and header.gzip or 0)
  shown:append_text(", " .. line)
  pinfo.cols.info:append(" " .. line)
end

register_stream(teleport)

-- === link ===

local COMMANDS = {[0] = "Dial", "Accept", "Connect", "Refuse", "Close", "Ping"}
local ARGUMENTS = {
  [0] = {"remote_id"}, {"connection_id", "remote_id"}, {"connection_id", "remote_id"}, {"remote_id"}, {"connection_id"}, {},
}

local link = {
  proto = Proto("wayport.link", "Wayport Link"),
  title = "Link",
  column = "Link",
  fields = stream_fields("wayport.link", {
    challenge = ProtoField.bytes("wayport.link.challenge", "Challenge"),
    md5 = ProtoField.bytes("wayport.link.md5", "MD5 of challenge and key"),
    server_id = ProtoField.uint32("wayport.link.server_id", "Server id"),
    length = ProtoField.uint32("wayport.link.length", "Length"),
    id = ProtoField.uint32("wayport.link.id", "Connection id, 0 for commands"),
    type = ProtoField.uint8("wayport.link.type", "Type", base.DEC, COMMANDS),
    command = ProtoField.string("wayport.link.command", "Command"),
    connection_id = ProtoField.uint32("wayport.link.connection_id", "Connection id"),
    remote_id = ProtoField.uint32("wayport.link.remote_id", "Remote id"),
    ignored = ProtoField.bytes("wayport.link.ignored", "Ignored bytes"),
    message_bytes = ProtoField.uint32("wayport.link.message_bytes", "Message bytes"),
    message = ProtoField.bytes("wayport.link.message", "Message"),
  }),
  experts = new_experts("wayport.link"),
}
link.proto.prefs.max_packet = Pref.uint("MaxPacket in bytes", 524288, "Largest length of a frame, on both sides of the gateway")

function link.size(_, tvb, at, left)
  if left < 4 then return MORE end
  local length = tvb(at, 4):le_uint()
  if length < 4 then return nil, "malformed", "link: length " .. length .. ", it is at least 4" end
  if length > link.proto.prefs.max_packet then
    return nil, "too_large", "link: length " .. length .. " is over MaxPacket " .. link.proto.prefs.max_packet
  end
  return 4 + length
end

function link.show(state, tvb, at, size, pinfo, tree)
  local fields = link.fields
  local shown = tree:add(link.proto, tvb(at, size), "Link")
  local id, left = tvb(at + 4, 4):le_uint(), size - 8
  shown:add(fields.offset, tvb(at, 0), UInt64.new(state.offset)):set_generated()
  shown:add_le(fields.length, tvb(at, 4))
  shown:add_le(fields.id, tvb(at + 4, 4))
  at = at + 8
  local line
  local function refuse(why)
    state.failed = "malformed"
    shown:add(fields.error_code, tvb(at, 0), "malformed"):set_generated()
    shown:add(fields.error_detail, tvb(at, 0), why):set_generated()
    shown:add_proto_expert_info(link.experts.malformed, why)
    line = (line and line .. " " or "") .. "[" .. why .. "]"
  end
  if id ~= 0 then
    line = "data on " .. id .. ", " .. left .. " bytes"
    shown:add(fields.message_bytes, tvb(at, left), left):set_generated()
    shown:add(fields.message, tvb(at, left))
  elseif left == 0 then
    refuse("link: a command without its type")
  else
    local kind = tvb(at, 1):uint()
    line = COMMANDS[kind] or "type " .. kind
    shown:add(fields.type, tvb(at, 1))
    if COMMANDS[kind] then shown:add(fields.command, tvb(at, 1), COMMANDS[kind]) end
    at, left = at + 1, left - 1
    for _, name in ipairs(ARGUMENTS[kind] or {}) do
      if left < 4 then
        refuse("link: " .. COMMANDS[kind] .. " cut short, " .. left .. " bytes where its " .. name .. " should be")
        break
      end
      shown:add_le(fields[name], tvb(at, 4))
      line = line .. " " .. name .. "=" .. tvb(at, 4):le_uint()
      at, left = at + 4, left - 4
    end
    if left > 0 then shown:add(fields.ignored, tvb(at, left)) end
    if not COMMANDS[kind] then
      refuse("link: command type " .. kind .. ", the last known is 5")
    elseif state.to_server and kind >= 1 and kind <= 3 then
      refuse("link: " .. COMMANDS[kind] .. " from an endpoint, only a gateway sends it")
    elseif not state.to_server and kind == 0 then
      refuse("link: Dial from a gateway, only an endpoint sends it")
    end
  end
  shown:append_text(", " .. line)
  pinfo.cols.info:append(" " .. line)
end

register_stream(link)

-- The gateway speaks first there, so its peer is who does not.
local link_server = {
  proto = Proto("wayport.link_server", "Wayport Link, server side"),
  shown = link.proto,
  title = "Link",
  column = "Link",
  fields = link.fields,
  experts = link.experts,
  server_opens = true,
}

function link_server.size(state, tvb, at, left)
  if state.messages == 0 then return state.to_server and 20 or 8 end
  return link.size(state, tvb, at, left)
end

function link_server.show(state, tvb, at, size, pinfo, tree)
  if state.messages > 0 then return link.show(state, tvb, at, size, pinfo, tree) end
  local fields = link.fields
  local shown = tree:add(link.proto, tvb(at, size), "Link")
  local line = "challenge"
  shown:add(fields.offset, tvb(at, 0), UInt64.new(0)):set_generated()
  if state.to_server then
    shown:add(fields.md5, tvb(at, 16))
    shown:add_le(fields.server_id, tvb(at + 16, 4))
    line = "answer of server " .. tvb(at + 16, 4):le_uint()
  else
    shown:add(fields.challenge, tvb(at, 8))
  end
  shown:append_text(", " .. line)
  pinfo.cols.info:append(" " .. line)
end

register_stream(link_server)

-- === snet ===

local snet = {
  proto = Proto("wayport.snet", "Wayport Snet"),
  title = "Snet",
  column = "Snet",
  fields = stream_fields("wayport.snet", {
    type = ProtoField.uint8("wayport.snet.type", "First byte", base.HEX, {[0] = "new session", [0xff] = "reconnect"}),
    client_public = ProtoField.uint64("wayport.snet.client_public", "Client public", base.HEX),
    server_public = ProtoField.uint64("wayport.snet.server_public", "Server public", base.HEX),
    hidden_id = ProtoField.bytes("wayport.snet.hidden_id", "Hidden id"),
    challenge = ProtoField.bytes("wayport.snet.challenge", "Challenge"),
    proof = ProtoField.bytes("wayport.snet.proof", "Proof"),
    id = ProtoField.uint64("wayport.snet.id", "Session id"),
    written = ProtoField.uint64("wayport.snet.written", "Written"),
    received = ProtoField.uint64("wayport.snet.received", "Received"),
    refused = ProtoField.bool("wayport.snet.refused", "Refused"),
    stream = ProtoField.bytes("wayport.snet.stream", "Stream"),
  }),
  experts = new_experts("wayport.snet", {
    weak = ProtoExpert.new("wayport.snet.weak_key", "Weak public key", expert.group.SECURITY, expert.severity.WARN),
    refused = ProtoExpert.new("wayport.snet.refusal", "Reconnect refused", expert.group.RESPONSE_CODE, expert.severity.NOTE),
  }),
}

-- The two phases of each direction: client 0 first byte and what belongs to it, 1 proof; server 0 answer; then stream.
function snet.size(state, tvb, at, left)
  if state.to_server then
    if state.messages == 0 then
      local first = tvb(at, 1):uint()
      if first == 0x00 then return 9 end
      if first == 0xff then return 41 end
      return nil, "malformed", string.format("snet: first byte 0x%02x, it is 00 or ff", first)
    end
    if state.messages == 1 then return 16 end
  elseif state.messages == 0 then
    if not state.connection.kind then
      return nil, "malformed", "snet: the server speaks before its client, or the capture lacks the client's first bytes"
    end
    return 24
  end
  return left
end

-- 0, 1, p - 1 and from p = 2^64 - 59 on: the secret is a constant (spec/snet 2).
local function is_weak(tvb, at)
  local key = tvb:raw(at, 8)
  if key:sub(2) == string.rep("\0", 7) then return key:byte(1) <= 1 end
  return key:sub(2) == string.rep("\255", 7) and key:byte(1) >= 0xc4
end

function snet.show(state, tvb, at, size, pinfo, tree)
  local fields = snet.fields
  local shown = tree:add(snet.proto, tvb(at, size), "Snet")
  local line
  local function key(field, from)
    local public = shown:add_le(field, tvb(from, 8))
    if is_weak(tvb, from) then public:add_proto_expert_info(snet.experts.weak, "the secret of this key is a constant") end
  end
  shown:add(fields.offset, tvb(at, 0), UInt64.new(state.offset)):set_generated()
  if state.to_server and state.messages == 0 then
    shown:add(fields.type, tvb(at, 1))
    if tvb(at, 1):uint() == 0 then
      state.connection.kind = "new"
      line = "new session"
      key(fields.client_public, at + 1)
    else
      state.connection.kind = "reconnect"
      line = "reconnect of " .. tostring(tvb(at + 1, 8):le_uint64())
      shown:add_le(fields.id, tvb(at + 1, 8))
      shown:add_le(fields.written, tvb(at + 9, 8))
      shown:add_le(fields.received, tvb(at + 17, 8))
      shown:add(fields.proof, tvb(at + 25, 16))
    end
  elseif state.to_server and state.messages == 1 then
    line = "proof"
    shown:add(fields.proof, tvb(at, 16))
  elseif state.messages == 0 and state.connection.kind == "new" then
    line = "answer"
    key(fields.server_public, at)
    shown:add(fields.hidden_id, tvb(at + 8, 8))
    shown:add(fields.challenge, tvb(at + 16, 8))
  elseif state.messages == 0 then
    local refused = tvb:raw(at, 24) == string.rep("\0", 24)
    line = refused and "refusal" or "answer"
    shown:add_le(fields.written, tvb(at, 8))
    shown:add_le(fields.received, tvb(at + 8, 8))
    shown:add(fields.challenge, tvb(at + 16, 8))
    local flag = shown:add(fields.refused, tvb(at, 24), refused):set_generated()
    if refused then flag:add_proto_expert_info(snet.experts.refused, "the session cannot be resumed") end
  else
    line = size .. " bytes of the stream"
    shown:add(fields.stream, tvb(at, size))
  end
  shown:append_text(", " .. line)
  pinfo.cols.info:append(" " .. line)
end

register_stream(snet)

-- === route ===

local SUCCESS_MAX = 64 * 1024
local TOKEN, TARGET, ANY = 1, 0, 2

local route = {
  proto = Proto("wayport.route", "Wayport Route"),
  title = "Route",
  column = "Route",
  fields = stream_fields("wayport.route", {
    length = ProtoField.uint32("wayport.route.length", "Length"),
    identify = ProtoField.string("wayport.route.identify", "Identify"),
    identify_hex = ProtoField.bytes("wayport.route.identify_hex", "Identify, no text"),
    host = ProtoField.string("wayport.route.host", "Host"),
    port = ProtoField.uint16("wayport.route.port", "Port"),
    message = ProtoField.bytes("wayport.route.message", "Success message"),
    refused = ProtoField.string("wayport.route.refused", "Refused"),
    data = ProtoField.bytes("wayport.route.data", "Data"),
  }),
  experts = new_experts("wayport.route", {
    identify = ProtoExpert.new("wayport.route.identify_malformed", "Identify does not parse", expert.group.MALFORMED,
      expert.severity.ERROR),
    refused = ProtoExpert.new("wayport.route.refusal", "Refused by the gateway", expert.group.RESPONSE_CODE,
      expert.severity.NOTE),
  }),
}
route.proto.prefs.identify_max = Pref.uint("Largest identify in bytes", 4096, "What a gateway reads")
route.proto.prefs.header_identify = Pref.enum("The identify is", TARGET, "As header_identify of the gateway",
  {{1, "HOST:PORT", TARGET}, {2, "JWT", TOKEN}, {3, "for another resolver", ANY}}, false)

function route.size(state, tvb, at, left)
  if state.messages > 0 then return left end
  if left < 4 then return MORE end
  local length = tvb(at, 4):le_uint()
  if state.to_server then
    local limit = route.proto.prefs.identify_max
    if length == 0 then return nil, "malformed", "route: identify length 0, it is at least 1" end
    if length > limit then
      return nil, "too_large", "route: identify length " .. length .. " is over the limit " .. limit
    end
  elseif tvb:raw(at, 4) == "erro" then
    return left < 5 and MORE or left
  elseif length > SUCCESS_MAX then
    return nil, "too_large", "route: success message length " .. length .. " is over the limit " .. SUCCESS_MAX
  end
  return 4 + length
end

-- Host and port of spec/route 3.2; nil: neither.
local function target_of(text)
  local host, port = text:match("^(.*):([1-9]%d?%d?%d?%d?)$")
  if not host or tonumber(port) > 65535 then return nil end
  local inner = host:match("^%[(.*)%]$")
  if inner then
    return inner:find("^%x*:[%x:.]*$") and host, tonumber(port)
  end
  if #host < 1 or #host > 253 or host:find("[^%w.-]") then return nil end
  return host, tonumber(port)
end

function route.show(state, tvb, at, size, pinfo, tree)
  local fields = route.fields
  local shown = tree:add(route.proto, tvb(at, size), "Route")
  local line
  shown:add(fields.offset, tvb(at, 0), UInt64.new(state.offset)):set_generated()
  if state.messages > 0 then
    line = size .. " bytes " .. (state.to_server and "for" or "from") .. " the backend"
    shown:add(fields.data, tvb(at, size))
  elseif state.to_server then
    local range = tvb(at + 4, size - 4)
    local text, kind = range:raw(), route.proto.prefs.header_identify
    line = "identify " .. in_line(text, 128)
    shown:add_le(fields.length, tvb(at, 4))
    local identify = add_text(shown, fields, "identify", range, text)
    local why
    if kind == TARGET then
      local host, port = target_of(text)
      if host then
        shown:add(fields.host, range, host)
        shown:add(fields.port, range, port)
      else
        why = "route: the identify is no HOST:PORT"
      end
    elseif kind == TOKEN and not text:find("^[%w_-]+%.[%w_-]+%.[%w_-]+$") then
      why = "route: the identify is no token of three parts in base64url"
    end
    if why then identify:add_proto_expert_info(route.experts.identify, why) end
  elseif size >= 5 and tvb:raw(at, 4) == "erro" then
    line = "refused"
    local refused = shown:add(fields.refused, tvb(at, size), in_line(tvb:raw(at, size), 64))
    refused:add_proto_expert_info(route.experts.refused, "the gateway closes")
  else
    line = "success, " .. size - 4 .. " bytes"
    shown:add_le(fields.length, tvb(at, 4))
    shown:add(fields.message, tvb(at + 4, size - 4))
  end
  shown:append_text(", " .. line)
  pinfo.cols.info:append(" " .. line)
end

register_stream(route)

-- === kcp ===

local SEGMENT_HEADER = 24
local COMMAND_NAMES = {[81] = "push", [82] = "ack", [83] = "wask", [84] = "wins"}
local FEC_NAMES = {[0xf1] = "data", [0xf2] = "parity", [0xf3] = "oob"}
local EXTENSION_KINDS = {"hello", "confirm", "ask_alive", "alive", "close", "closed", "reset"}
local PLAIN, NONE_CIPHER, CLASSIC, GCM = 0, 1, 2, 3

local kcp = {
  proto = Proto("wayport.kcp", "Wayport KCP"),
  title = "KCP",
  fields = {
    nonce = ProtoField.bytes("wayport.kcp.nonce", "Nonce"),
    crc = ProtoField.uint32("wayport.kcp.crc", "CRC-32", base.HEX),
    ciphertext = ProtoField.bytes("wayport.kcp.ciphertext", "Ciphertext"),
    tag = ProtoField.bytes("wayport.kcp.tag", "Tag"),
    fec_seqid = ProtoField.uint32("wayport.kcp.fec.seqid", "FEC seqid"),
    fec_type = ProtoField.string("wayport.kcp.fec.type", "FEC type"),
    fec_size = ProtoField.uint16("wayport.kcp.fec.size", "FEC size"),
    fec_parity = ProtoField.bytes("wayport.kcp.fec.parity", "FEC parity"),
    oob = ProtoField.bytes("wayport.kcp.oob", "Out-of-band payload"),
    conv = ProtoField.uint32("wayport.kcp.conv", "conv"),
    cmd = ProtoField.uint8("wayport.kcp.cmd", "cmd", base.DEC, COMMAND_NAMES),
    frg = ProtoField.uint8("wayport.kcp.frg", "frg"),
    wnd = ProtoField.uint16("wayport.kcp.wnd", "wnd"),
    ts = ProtoField.uint32("wayport.kcp.ts", "ts"),
    sn = ProtoField.uint32("wayport.kcp.sn", "sn"),
    una = ProtoField.uint32("wayport.kcp.una", "una"),
    len = ProtoField.uint32("wayport.kcp.len", "len"),
    payload = ProtoField.bytes("wayport.kcp.payload", "Payload"),
    kind = ProtoField.uint8("wayport.kcp.extension.kind", "Extension", base.DEC, EXTENSION_KINDS),
    value = ProtoField.uint32("wayport.kcp.extension.value", "Value"),
    cookie = ProtoField.uint64("wayport.kcp.extension.cookie", "Cookie", base.HEX),
    ignored = ProtoField.bytes("wayport.kcp.ignored", "Ignored bytes"),
  },
  experts = new_experts("wayport.kcp", {
    crc = ProtoExpert.new("wayport.kcp.crc_wrong", "Wrong CRC-32", expert.group.CHECKSUM, expert.severity.ERROR),
  }),
}
kcp.proto.fields = values_of(kcp.fields)
kcp.proto.experts = values_of(kcp.experts)
kcp.proto.prefs.layers = Pref.enum("Around the segments", PLAIN, "FEC headers are found in any case", {
  {1, "nothing", PLAIN},
  {2, "nonce and CRC-32 in the clear (the cipher called none)", NONE_CIPHER},
  {3, "a classic cipher", CLASSIC},
  {4, "aes-*-gcm", GCM},
}, false)

-- splitmix64's finalizer of conv | the high word 0x77617900: what sn and ts of an extension message hold (spec/kcp 8).
local function extension_mark(conv)
  local value = UInt64.new(conv, 0x77617900) + UInt64.new(0x7f4a7c15, 0x9e3779b9)
  value = value:bxor(value:rshift(30)) * UInt64.new(0x1ce4e5b9, 0xbf58476d)
  value = value:bxor(value:rshift(27)) * UInt64.new(0x133111eb, 0x94d049bb)
  value = value:bxor(value:rshift(31))
  return value:lower(), value:higher()
end

local function add_extension(shown, tvb, at, size)
  local conv = tvb(at, 4):le_uint()
  if tvb(at + 4, 1):uint() ~= 84 or size ~= 16 then return nil end
  local payload = at + SEGMENT_HEADER
  local kind = tvb(payload + 1, 1):uint()
  local low, high = extension_mark(conv)
  if tvb(at + 12, 4):le_uint() ~= low or tvb(at + 8, 4):le_uint() ~= high then return nil end
  if tvb(payload, 1):uint() ~= 1 or not EXTENSION_KINDS[kind] then return nil end
  shown:add(kcp.fields.kind, tvb(payload + 1, 1))
  shown:add_le(kcp.fields.value, tvb(payload + 4, 4))
  shown:add_le(kcp.fields.cookie, tvb(payload + 8, 8))
  return EXTENSION_KINDS[kind]
end

-- A reader keeps what it has read before it stops, and so do we.
local function add_segments(tree, tvb, at, to, pinfo)
  local fields, conv, count = kcp.fields, nil, 0
  local function stop(why)
    local shown = tree:add(fields.ignored, tvb(at, to - at))
    shown:add_proto_expert_info(kcp.experts.malformed, "kcp: " .. why)
    pinfo.cols.info:append(" [" .. why .. "]")
  end
  while to - at >= SEGMENT_HEADER do
    local cmd, len = tvb(at + 4, 1):uint(), tvb(at + 20, 4):le_uint()
    conv = conv or tvb(at, 4):le_uint()
    if tvb(at, 4):le_uint() ~= conv then return stop("conv " .. tvb(at, 4):le_uint() .. " after " .. conv) end
    if not COMMAND_NAMES[cmd] then return stop("cmd " .. cmd .. ", it is 81 to 84") end
    local room = to - at - SEGMENT_HEADER
    if len > room then return stop("len " .. len .. " with " .. room .. " bytes left") end
    local shown = tree:add(kcp.proto, tvb(at, SEGMENT_HEADER + len), "Segment, " .. COMMAND_NAMES[cmd])
    shown:add_le(fields.conv, tvb(at, 4))
    shown:add(fields.cmd, tvb(at + 4, 1))
    shown:add(fields.frg, tvb(at + 5, 1))
    shown:add_le(fields.wnd, tvb(at + 6, 2))
    shown:add_le(fields.ts, tvb(at + 8, 4))
    shown:add_le(fields.sn, tvb(at + 12, 4))
    shown:add_le(fields.una, tvb(at + 16, 4))
    shown:add_le(fields.len, tvb(at + 20, 4))
    if len > 0 then shown:add(fields.payload, tvb(at + SEGMENT_HEADER, len)) end
    local line = add_extension(shown, tvb, at, len) or COMMAND_NAMES[cmd]
    line = line .. " sn=" .. tvb(at + 12, 4):le_uint() .. " una=" .. tvb(at + 16, 4):le_uint() .. " len=" .. len
    shown:append_text(", " .. line)
    -- The line of a datagram with many is long enough as it is.
    count = count + 1
    if count <= 8 then pinfo.cols.info:append(" " .. line) end
    at = at + SEGMENT_HEADER + len
  end
  if at < to then
    if count == 0 then return stop(to - at .. " bytes, a segment has at least " .. SEGMENT_HEADER) end
    tree:add(fields.ignored, tvb(at, to - at))
  end
end

-- A plain segment has its cmd, 81 to 84, where the FEC header has f1, f2 or f3.
local function add_packet(tree, tvb, at, to, pinfo)
  local fields = kcp.fields
  local kind = to - at >= 6 and tvb(at + 5, 1):uint() == 0 and FEC_NAMES[tvb(at + 4, 1):uint()]
  if not kind then return add_segments(tree, tvb, at, to, pinfo) end
  tree:add_le(fields.fec_seqid, tvb(at, 4))
  tree:add(fields.fec_type, tvb(at + 4, 2), kind)
  pinfo.cols.info:append(" fec " .. kind .. " " .. tvb(at, 4):le_uint())
  if kind == "parity" then
    if to - at > 6 then tree:add(fields.fec_parity, tvb(at + 6, to - at - 6)) end
    return
  end
  if to - at < 8 then
    return tree:add_proto_expert_info(kcp.experts.malformed, "kcp: an FEC header of " .. to - at .. " bytes, it has 8")
  end
  local size = tvb(at + 6, 2):le_uint()
  local shown = tree:add_le(fields.fec_size, tvb(at + 6, 2))
  if size < 2 or size > to - at - 6 then
    return shown:add_proto_expert_info(kcp.experts.malformed, "kcp: FEC size " .. size .. " with " .. to - at - 6 .. " bytes")
  end
  if kind == "data" then return add_segments(tree, tvb, at + 8, at + 6 + size, pinfo) end
  if size < 6 then return shown:add_proto_expert_info(kcp.experts.malformed, "kcp: out-of-band data without conv") end
  tree:add_le(fields.conv, tvb(at + 8, 4))
  if size > 6 then tree:add(fields.oob, tvb(at + 12, size - 6)) end
end

function kcp.proto.dissector(tvb, pinfo, tree)
  local fields, layers, length = kcp.fields, kcp.proto.prefs.layers, tvb:len()
  pinfo.cols.protocol = "KCP"
  pinfo.cols.info:clear()
  pinfo.cols.info:fence()
  local shown = tree:add(kcp.proto, tvb(), "KCP")
  if tvb:reported_len() > length then
    shown:add_proto_expert_info(kcp.experts.cut, "the capture has not all bytes of this datagram")
  end
  local before = ({[PLAIN] = 0, [NONE_CIPHER] = 20, [CLASSIC] = 20, [GCM] = 28})[layers] or 0
  if length < before then
    shown:add_proto_expert_info(kcp.experts.malformed, "kcp: " .. length .. " bytes, the cipher alone has " .. before)
  elseif layers == GCM then
    shown:add(fields.nonce, tvb(0, 12))
    shown:add(fields.ciphertext, tvb(12, length - 28))
    shown:add(fields.tag, tvb(length - 16, 16))
  elseif layers == CLASSIC then
    shown:add(fields.ciphertext, tvb())
  else
    if layers == NONE_CIPHER then
      shown:add(fields.nonce, tvb(0, 16))
      local crc = shown:add_le(fields.crc, tvb(16, 4))
      if crc32(tvb:raw(20, length - 20)) ~= tvb(16, 4):le_uint() then
        crc:add_proto_expert_info(kcp.experts.crc, "of the " .. length - 20 .. " bytes behind it")
      end
    end
    add_packet(shown, tvb, before, length, pinfo)
  end
  return length
end

follow_ports(kcp, "udp.port")
