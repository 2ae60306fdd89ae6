-- What the secured route asks of a request, by hand: a token, a limit, a body of 20 fields.
local cjson = require "cjson.safe"
local digest = require "openssl.digest"
local pkey = require "openssl.pkey"
local lrucache = require "resty.lrucache"
local base64 = require "ngx.base64"

local decode = base64.decode_base64url
local M = { consumers = {} }
local key, rules, known

function M.start(given)
    rules = given
    local file = assert(io.open(given.key))
    key = pkey.new(file:read("*a"))
    file:close()
    if given.remembers then known = assert(lrucache.new(4096)) end
end

-- The claims of a token whose signature is good.
local function verified(token)
    local head, payload, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
    if not head then return nil end
    local header = cjson.decode(decode(head) or "")
    if type(header) ~= "table" or header.alg ~= "RS256" then return nil end
    local bytes = decode(signature)
    if not bytes then return nil end
    local hash = digest.new("sha256"):update(head, ".", payload)
    if not key:verify(bytes, hash) then return nil end
    local claims = cjson.decode(decode(payload) or "")
    return type(claims) == "table" and claims or nil
end

local function has_scope(scopes)
    return type(scopes) == "string"
        and (" " .. scopes .. " "):find(" " .. rules.scope .. " ", 1, true)
end

local function authenticated()
    local field = ngx.var.http_authorization
    local token = field and field:match("^Bearer (.+)$")
    if not token then return nil, 401 end
    local claims = known and known:get(token)
    if not claims then
        claims = verified(token)
        if not claims then return nil, 401 end
        if type(claims.exp) ~= "number" or claims.iss ~= rules.issuer
            or claims.aud ~= rules.audience or not M.consumers[claims.sub] then
            return nil, 401
        end
        if not has_scope(claims.scope) then return nil, 403 end
        if known then known:set(token, claims) end
    end
    if claims.exp <= ngx.time() then return nil, 401 end
    return claims.sub
end

local function text(value, least, most)
    return type(value) == "string" and #value >= least and #value <= most
end

local function number(value, least, most)
    return type(value) == "number" and value >= least and value <= most
end

local function integer(value, least, most)
    return number(value, least, most) and value % 1 == 0
end

local function one_of(...)
    local allowed = {}
    for _, value in ipairs { ... } do allowed[value] = true end
    return function(value) return type(value) == "string" and allowed[value] or false end
end

local function up_to(most)
    return function(value) return text(value, 0, most) end
end

local function flag(value) return type(value) == "boolean" end
local function amount(value) return number(value, 0, math.huge) end

local ITEM = {
    sku = up_to(16),
    name = up_to(64),
    quantity = function(value) return integer(value, 1, 99) end,
    price = amount,
}

local function fits(object, fields)
    if type(object) ~= "table" then return false end
    for name, value in pairs(object) do
        local check = fields[name]
        if not check or not check(value) then return false end
    end
    return true
end

local ORDER = {
    order = function(value) return integer(value, 1, math.huge) end,
    customer = function(value) return text(value, 1, 64) end,
    email = function(value) return text(value, 0, 128) and ngx.re.find(value, "^[^@ ]+@[^@ ]+$", "jo") end,
    phone = up_to(24),
    country = one_of("DE", "AT", "CH", "FR", "NL"),
    city = up_to(64),
    street = up_to(64),
    postcode = function(value)
        return type(value) == "string" and ngx.re.find(value, "^[0-9]{4,5}$", "jo")
    end,
    currency = one_of("EUR", "CHF"),
    total = amount,
    discount = function(value) return number(value, 0, 1) end,
    express = flag,
    gift = flag,
    note = up_to(400),
    coupon = up_to(16),
    channel = one_of("web", "app", "shop"),
    terms = function(value) return integer(value, 1, math.huge) end,
    language = up_to(8),
    created = up_to(32),
    items = function(items)
        if type(items) ~= "table" or #items < 1 or #items > 100 then return false end
        for _, item in ipairs(items) do
            if not fits(item, ITEM) or not item.sku or not item.quantity then return false end
        end
        return true
    end,
}
local NEEDED = { "order", "customer", "email", "country", "currency", "items", "total" }

local function is_order(body)
    if not fits(body, ORDER) then return false end
    for _, name in ipairs(NEEDED) do
        if body[name] == nil then return false end
    end
    return true
end

function M.admit()
    local consumer, status = authenticated()
    if not consumer then return ngx.exit(status) end
    ngx.var.consumer = consumer
    local count = ngx.shared.limits:incr(consumer, 1, 0, rules.window)
    if not count or count > rules.limit then return ngx.exit(429) end
    ngx.req.read_body()
    local body = ngx.req.get_body_data()
    if not body or not is_order(cjson.decode(body)) then return ngx.exit(400) end
end

return M
