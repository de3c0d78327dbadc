-- SPDX-License-Identifier: GPL-3.0-or-later
-- The script of kemi_test.py; kemi_script.py is the same in Python.
--
-- A request makes the call that its method names, with its user part as the
-- topic and its X- headers as the other arguments, and is answered with what
-- the call returns. The callback echoes messages.

function header(name)
    return KSR.pv.get("$hdr(X-" .. name .. ")")
end

calls = {}
function calls.PUBLISH()
    return KSR.mqtt.publish(KSR.pv.get("$rU"), header("Payload"),
        tonumber(header("Qos")))
end
function calls.MESSAGE()
    return KSR.mqtt.publish_opts(KSR.pv.get("$rU"), header("Payload"),
        tonumber(header("Qos")), header("Options"))
end
function calls.SUBSCRIBE()
    return KSR.mqtt.subscribe(KSR.pv.get("$rU"), tonumber(header("Qos")))
end
function calls.REFER()
    return KSR.mqtt.unsubscribe(KSR.pv.get("$rU"))
end

function ksr_request_route()
    local call = calls[KSR.pv.get("$rm")]
    KSR.sl.sl_send_reply(200, call and tostring(call()) or "OK")
end

function on_event(name)
    local topic = KSR.pv.get("$mqtt(topic)")
    if name == "mqtt:connected" then
        KSR.mqtt.subscribe("in", 2)
    elseif name == "mqtt:message" then
        KSR.mqtt.publish("out", KSR.pv.get("$mqtt(msg)"),
            KSR.pv.get("$mqtt(qos)"))
    end
    local reason = KSR.pv.get("$mqtt(reason)")
    KSR.notice("callback of " .. name .. ": " .. tostring(topic) .. " " ..
        tostring(reason) .. "\n")
end

function broken(name)
    error("broken on purpose")
end
