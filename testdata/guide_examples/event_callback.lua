-- event callback function implemented in Lua
function ksr_mqtt_event(evname)
        KSR.info("===== mqtt module triggered event: " .. evname .. "\n");
        return 1;
end

-- Not of the guide: Kamailio's entry point.
function ksr_request_route()
        KSR.sl.sl_send_reply(200, "OK");
end
