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
    -- No clock that only runs forward makes it later than that, and something else's value is
    -- none.
    local full = math.min(tonumber(redis.pcall('GET', key)) or now, now + period)
    full = math.max(full, now)
    -- A client with all of them has `count` also where the division rounds down.
    local there = math.floor((now + period - full) / each + 0.000001)
    local taken = math.min(wanted, there)
    if taken > 0 then
        full = full + taken * each
        redis.call('SET', key, string.format('%.2f', full), 'PX', math.ceil((full - now) / 1000))
    end
    answer[#answer + 1] = taken
    answer[#answer + 1] = math.max(0, math.ceil(full + each - period - now))
end
return answer
