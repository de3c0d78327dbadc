-- The routes of kamailio.cfg: registrar, proxy, and what goes to the broker.

function ksr_request_route()
    if KSR.maxfwd.process_maxfwd(10) < 0 then
        KSR.sl.sl_send_reply(483, "Too Many Hops")
    elseif KSR.siputils.has_totag() > 0 then
        in_dialog()
    elseif KSR.is_CANCEL() then
        if KSR.tm.t_check_trans() > 0 then KSR.tm.t_relay() end
    elseif KSR.pv.is_null("$fu") then
        KSR.sl.sl_send_reply(400, "Bad From")
    -- Authenticate the user here, before anything is believed.
    elseif KSR.is_REGISTER() then
        register()
    elseif KSR.is_INVITE() then
        call()
    else
        KSR.sl.sl_send_reply(405, "Method Not Allowed")
    end
end

function in_dialog()
    if KSR.rr.loose_route() > 0 then
        KSR.tm.t_relay()
    elseif not KSR.is_ACK() then
        KSR.sl.sl_send_reply(404, "Not Here")
    elseif KSR.tm.t_check_trans() > 0 then
        KSR.tm.t_relay()
    end
end

-- Registrations.

function register()
    local user = KSR.pv.gete("$tU"):lower()
    -- An escaped name would be a second name of the same user.
    if not KSR.is_myself_turi() or #user > 64
            or not user:find("^[a-z0-9+._-]+$") then
        KSR.sl.sl_send_reply(404, "Not a User")
    elseif KSR.registrar.save("location", 0) > 0 then
        local aor = "sip:" .. user .. "@" .. KSR.pv.gete("$td"):lower()
        KSR.mqueue.mq_add("registrations", aor, "")
    end
end

function ksr_contact_expired(event)
    local aor = "sip:" .. KSR.pv.gete("$ulc(exp=>aor)")
    KSR.mqueue.mq_add("registrations", aor, "")
    return 1
end

-- Runs in one process, ten times a second: two changes of a user cannot
-- overtake each other. What is published is what the location table says by
-- then.
function ksr_registrations(event)
    while KSR.mqueue.mq_fetch("registrations") > 0 do
        local aor = KSR.pv.gete("$mqk(registrations)")
        local user, domain = aor:match("^sip:(.*)@(.*)$")
        local topic = "sip/registrations/" .. encode(domain) .. "/"
            .. encode(user)
        local result = KSR.mqtt.publish_opts(topic, state(aor), 1, "retain")
        if result == -2 then
            -- The queue is full. This must not get lost: again, the next time.
            KSR.mqueue.mq_add("registrations", aor, "")
            return 1
        end
    end
    return 1
end

-- Without contacts it is empty, which makes the broker forget the topic.
function state(aor)
    local contacts = {}
    if KSR.registrar.reg_fetch_contacts("location", aor, "state") > 0 then
        for i = 0, (KSR.pv.get("$ulc(state=>count)") or 0) - 1 do
            local function get(name)
                return KSR.pv.get("$(ulc(state=>" .. name .. ")[" .. i .. "])")
            end
            table.insert(contacts, object({
                uri = get("addr"),
                user_agent = get("user_agent"),
                expires = get("expires"),
            }))
        end
    end
    if #contacts == 0 then return "" end
    return '{"aor": ' .. json(aor) .. ', "contacts": ['
        .. table.concat(contacts, ", ") .. "]}"
end

-- Calls.

function call()
    KSR.rr.record_route()
    KSR.dialog.dlg_manage()
    local name = KSR.pv.get("$fn")
    publish_call("started", {
        from = KSR.pv.get("$fu"),
        from_name = name and name:match('^"?(.-)"?$'),
        to = KSR.pv.get("$tu"),
        user_agent = KSR.pv.get("$ua"),
        source = KSR.pv.get("$si"),
    })
    -- To users of ours alone: no open relay.
    if KSR.is_myself_ruri() and KSR.registrar.lookup("location") > 0 then
        KSR.tm.t_relay()
    else
        KSR.tm.t_newtran()
        KSR.tm.t_reply(480, "Not Registered")
    end
end

function ksr_dialog_event(event)
    if event == "dialog:start" then
        publish_call("answered", {})
    elseif event == "dialog:end" then
        publish_call("ended", {
            duration = KSR.pv.get("$TS") - KSR.pv.get("$dlg(start_ts)"),
        })
    elseif event == "dialog:failed" then
        -- There is none where the last reply is one of Kamailio's own.
        publish_call("failed", { status = KSR.pv.get("$rs") })
    end
    return 1
end

function publish_call(event, fields)
    fields.call_id = KSR.pv.get("$dlg(callid)")
    fields.time = KSR.pv.get("$TS")
    local result = KSR.mqtt.publish("sip/calls/" .. event, object(fields), 1)
    if result < 0 then
        KSR.warn(event .. " not published: " .. result .. "\n")
    end
end

-- JSON, whatever callers have sent, and topics.

-- No + / # in a topic, whatever the text is.
function encode(text)
    return (text:gsub("[^%w._~-]", function(byte)
        return string.format("%%%02x", byte:byte())
    end))
end

function object(fields)
    local members = {}
    for name, value in pairs(fields) do
        table.insert(members, json(name) .. ": " .. json(value))
    end
    return "{" .. table.concat(members, ", ") .. "}"
end

function json(value)
    if type(value) == "number" then return string.format("%d", value) end
    return '"' .. utf8(value):gsub('[%c"\\]', function(byte)
        return string.format("\\u%04x", byte:byte())
    end) .. '"'
end

-- What follows an ASCII character in UTF-8 (RFC 3629).
local CHARACTERS = {
    "^[\194-\223][\128-\191]",
    "^\224[\160-\191][\128-\191]",
    "^[\225-\236\238\239][\128-\191][\128-\191]",
    "^\237[\128-\159][\128-\191]",
    "^\240[\144-\191][\128-\191][\128-\191]",
    "^[\241-\243][\128-\191][\128-\191][\128-\191]",
    "^\244[\128-\143][\128-\191][\128-\191]",
}

-- Puts U+FFFD in the place of each byte that is not UTF-8.
function utf8(text)
    return (text:gsub("[\128-\255]+", function(run)
        local out, at = {}, 1
        while at <= #run do
            local character
            for _, pattern in ipairs(CHARACTERS) do
                character = character or run:sub(at, at + 3):match(pattern)
            end
            table.insert(out, character or "\239\191\189")
            at = at + (character and #character or 1)
        end
        return table.concat(out)
    end))
end
