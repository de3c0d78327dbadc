/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Kamailio's statistics group `mqtt`: the ledger, readable through
 * `kamcmd stats.get_statistics mqtt:`, $stat(...), xhttp_prom and the like.
 */
#ifndef KAMAILIO_MODULE_MQTT_STATISTICS_H_
#define KAMAILIO_MODULE_MQTT_STATISTICS_H_

/* From mod_init, after mqtt_init(). Returns 0, or -1 after logging. */
int mqtt_statistics_init(void);

#endif /* KAMAILIO_MODULE_MQTT_STATISTICS_H_ */
