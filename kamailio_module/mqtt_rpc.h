/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The module's RPC commands, mqtt.status and so on, for every transport of
 * Kamailio's RPC.
 */
#ifndef KAMAILIO_MODULE_MQTT_RPC_H_
#define KAMAILIO_MODULE_MQTT_RPC_H_

/* Registers them, in the main process before any fork. Returns 0, or -1 after
 * logging. */
int mqtt_rpc_init(void);

#endif /* KAMAILIO_MODULE_MQTT_RPC_H_ */
