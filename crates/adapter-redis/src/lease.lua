-- Takes tokens by GCRA, for many clients at once.
--
-- KEYS: one for each client. Its value is the time at which the client has all its tokens again,
-- in µs; it expires then, and so a key that is missing has all of them.
-- ARGV: a number of the call, and for each key: its period in µs, the tokens of a period, how
-- many tokens are wanted.
-- Returns that number, and for each key: how many are taken, and in how many µs there is another.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer = {tonumber(ARGV[1])}
for i, key in ipairs(KEYS) do
    local period, count, wanted = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
    local each = period / count
    local latest, held = now + period, tonumber(redis.pcall('GET', key))
    -- A value of something else counts as none: no number, `nan`, `inf`.
    if not (held and held > now and held < math.huge) then held = now end
    -- It is later than that if the clock was set back.
    local full = math.min(held, latest)
    -- A client with all of them has `count` also where the division rounds down.
    local there = math.floor((now + period - full) / each + 0.000001)
    local taken = math.min(wanted, there)
    -- What was corrected is kept, or the client would wait for a token as long at each call.
    if taken > 0 or held > latest then
        full = full + taken * each
        redis.call('SET', key, string.format('%.2f', full), 'PX', math.ceil((full - now) / 1000))
    end
    answer[#answer + 1] = taken
    answer[#answer + 1] = math.max(0, math.ceil(full + each - period - now))
end
return answer
