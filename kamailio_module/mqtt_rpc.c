/* SPDX-License-Identifier: GPL-3.0-or-later */

#include "kamailio_module/mqtt_rpc.h"

#include <limits.h>
#include <string.h>

#include "core/dprint.h"
#include "core/rpc.h"
#include "core/rpc_lookup.h"
#include "core/str.h"
#include "kamailio_module/bridge.h"

/* Arguments. Commands scan all of theirs in one call, as optional ones: only
 * then does the result of a scan tell one of a wrong type from one that is not
 * there. A text is not converted from a number (".S"): kamcmd makes a number of
 * what looks like one, such as an empty text, and JSON-RPC cuts fractions. */

typedef struct argument {
  const char *name;
  int is_number; /* otherwise it is a text */
} argument;

/* The argument `index`, where so many were scanned; `data` is NULL if it is not
 * among them. */
static mqtt_bytes given(const str *text, int index, int scanned) {
  mqtt_bytes bytes = {NULL, 0};

  if (index < scanned) {
    bytes.data = text->s;
    bytes.size = text->len;
  }
  return bytes;
}

static str str_of(mqtt_bytes bytes) {
  str text = {(char *)bytes.data, bytes.size};
  return text;
}

/* Whether there is another argument, of whatever type. */
static int has_more(rpc_t *rpc, void *ctx) {
  str text;
  double number;

  return rpc->scan(ctx, "*S", &text) == 1 ||
         rpc->scan(ctx, "*.f", &number) == 1;
}

/* Judges what the scan of `count` arguments returned. Returns 0, or -1 after a
 * fault. */
static int check_scan(rpc_t *rpc, void *ctx, int scanned,
                      const argument *arguments, int count) {
  const argument *wrong;
  int more = (scanned == 0 || scanned == count) && has_more(rpc, ctx);

  if (scanned >= 0 && !more) return 0;
  if (scanned == count) {
    rpc->fault(ctx, 400, "too many arguments: takes %d at most", count);
    return -1;
  }
  wrong = &arguments[-scanned];
  rpc->fault(ctx, 400,
             wrong->is_number
                 ? "%s: must be a number"
                 : "%s: must be a string; kamcmd takes s:42 for one",
             wrong->name);
  return -1;
}

/* Replies. */

static void fail(rpc_t *rpc, void *ctx, const mqtt_fault *fault) {
  rpc->fault(ctx, fault->code, "%s", fault->text);
}

/* Adds a member that may be absent. */
static int add_text(rpc_t *rpc, void *structure, char *name, mqtt_bytes value) {
  str text = str_of(value);

  return value.data == NULL ? 0 : rpc->struct_add(structure, "S", name, &text);
}

static int add_number(rpc_t *rpc, void *structure, char *name, long value) {
  return value < 0 ? 0 : rpc->struct_add(structure, "l", name, value);
}

static int add_queue(rpc_t *rpc, void *structure, char *name,
                     const mqtt_queue_status *queue) {
  void *members;

  if (rpc->struct_add(structure, "{", name, &members) < 0) return -1;
  return rpc->struct_add(members, "llll", "messages", queue->messages,
                         "max_messages", queue->max_messages, "bytes",
                         queue->bytes, "max_bytes", queue->max_bytes);
}

/* mqtt.status */

static const char *status_doc[] = {
    "What the connection to the broker and the queues are doing.", NULL};

static int show_status(void *context, const mqtt_status *status) {
  rpc_cb_ctx_t *to = context;
  rpc_t *rpc = to->rpc;
  str state = str_of(status->state);
  str broker = str_of(status->broker);
  str client_id = str_of(status->client_id);
  void *members;

  if (rpc->add(to->c, "{", &members) < 0 ||
      rpc->struct_add(members, "SlSSl", "state", &state, "state_seconds",
                      status->state_seconds, "broker", &broker, "client_id",
                      &client_id, "failed_attempts",
                      status->failed_attempts) < 0 ||
      add_number(rpc, members, "next_attempt_seconds",
                 status->next_attempt_seconds) < 0 ||
      add_text(rpc, members, "last_disconnect_reason",
               status->disconnect_reason) < 0 ||
      add_number(rpc, members, "last_disconnect_seconds",
                 status->disconnect_seconds) < 0 ||
      rpc->struct_add(members, "ll", "uptime", status->uptime, "subscriptions",
                      status->subscriptions) < 0 ||
      add_queue(rpc, members, "publish_queue", &status->publish_queue) < 0) {
    return -1;
  }
  return add_queue(rpc, members, "inbound_queue", &status->inbound_queue);
}

static void rpc_status(rpc_t *rpc, void *ctx) {
  rpc_cb_ctx_t context = {rpc, ctx};
  mqtt_fault fault;

  if (check_scan(rpc, ctx, 0, NULL, 0) < 0) return;
  if (mqtt_rpc_status(show_status, &context, &fault) < 0) {
    fail(rpc, ctx, &fault);
  }
}

/* mqtt.subscriptions */

static const char *subscriptions_doc[] = {
    "Lists the subscriptions, and what the broker said to each. Parameters: "
    "[topic [limit [offset]]]. Only those that match the topic, unless it is "
    "empty; at most so many; after so many.",
    NULL};

static const argument subscriptions_arguments[] = {
    {"topic", 0}, {"limit", 1}, {"offset", 1}};

static int show_subscription(void *context,
                             const mqtt_subscription *subscription) {
  rpc_cb_ctx_t *to = context;
  rpc_t *rpc = to->rpc;
  str topic_filter = str_of(subscription->topic_filter);
  str state = str_of(subscription->state);
  str origin = str_of(subscription->origin);
  void *members;

  if (rpc->add(to->c, "{", &members) < 0 ||
      rpc->struct_add(members, "SSl", "topic_filter", &topic_filter, "state",
                      &state, "requested_qos",
                      (long)subscription->requested_qos) < 0 ||
      add_number(rpc, members, "granted_qos", subscription->granted_qos) < 0 ||
      add_text(rpc, members, "refusal_reason", subscription->refusal_reason) <
          0 ||
      rpc->struct_add(members, "Sll", "origin", &origin, "messages_received",
                      subscription->messages_received, "payload_bytes_received",
                      subscription->payload_bytes_received) < 0) {
    return -1;
  }
  return add_number(rpc, members, "last_message_seconds",
                    subscription->last_message_seconds);
}

static void rpc_subscriptions(rpc_t *rpc, void *ctx) {
  rpc_cb_ctx_t context = {rpc, ctx};
  str topic;
  int limit = INT_MAX;
  int offset = 0;
  mqtt_fault fault;
  int scanned = rpc->scan(ctx, "*S.d.d", &topic, &limit, &offset);

  if (check_scan(rpc, ctx, scanned, subscriptions_arguments, 3) < 0) return;
  if (mqtt_rpc_subscriptions(given(&topic, 0, scanned), limit, offset,
                             show_subscription, &context, &fault) < 0) {
    fail(rpc, ctx, &fault);
  }
}

/* mqtt.publish */

static const char *publish_doc[] = {
    "Publishes a message, as the script function mqtt_publish does. "
    "Parameters: topic payload [qos [options]]. The QoS is 0 if not given.",
    NULL};

static const argument publish_arguments[] = {
    {"topic", 0}, {"payload", 0}, {"qos", 1}, {"options", 0}};

static void rpc_publish(rpc_t *rpc, void *ctx) {
  str topic;
  str payload;
  str qos;
  str options;
  mqtt_fault fault;
  int scanned = rpc->scan(ctx, "*SS.SS", &topic, &payload, &qos, &options);

  if (check_scan(rpc, ctx, scanned, publish_arguments, 4) < 0) return;
  if (mqtt_rpc_publish(given(&topic, 0, scanned), given(&payload, 1, scanned),
                       given(&qos, 2, scanned), given(&options, 3, scanned),
                       &fault) < 0) {
    fail(rpc, ctx, &fault);
    return;
  }
  rpc->rpl_printf(ctx, "Ok. The message is queued.");
}

/* mqtt.subscribe */

static const char *subscribe_doc[] = {
    "Subscribes to a topic filter; while connected, waits for the broker's "
    "answer. Parameters: topic_filter [qos]. The QoS is 0 if not given.",
    NULL};

static const argument subscribe_arguments[] = {{"topic_filter", 0}, {"qos", 1}};

/* Without the filter, which the caller knows and which may be long. */
static int show_granted(void *context, const mqtt_subscription *subscription) {
  rpc_cb_ctx_t *to = context;
  str state = str_of(subscription->state);
  void *members;

  if (to->rpc->add(to->c, "{", &members) < 0 ||
      to->rpc->struct_add(members, "Sl", "state", &state, "requested_qos",
                          (long)subscription->requested_qos) < 0) {
    return -1;
  }
  return add_number(to->rpc, members, "granted_qos", subscription->granted_qos);
}

static void rpc_subscribe(rpc_t *rpc, void *ctx) {
  rpc_cb_ctx_t context = {rpc, ctx};
  str topic_filter;
  str qos;
  mqtt_fault fault;
  int scanned = rpc->scan(ctx, "*S.S", &topic_filter, &qos);

  if (check_scan(rpc, ctx, scanned, subscribe_arguments, 2) < 0) return;
  if (mqtt_rpc_subscribe(given(&topic_filter, 0, scanned),
                         given(&qos, 1, scanned), show_granted, &context,
                         &fault) < 0) {
    fail(rpc, ctx, &fault);
  }
}

/* mqtt.unsubscribe */

static const char *unsubscribe_doc[] = {
    "Ends a subscription; while connected, waits for the broker's answer. "
    "Parameters: topic_filter.",
    NULL};

static const argument unsubscribe_arguments[] = {{"topic_filter", 0}};

static void rpc_unsubscribe(rpc_t *rpc, void *ctx) {
  str topic_filter;
  int confirmed;
  mqtt_fault fault;
  int scanned = rpc->scan(ctx, "*S", &topic_filter);

  if (check_scan(rpc, ctx, scanned, unsubscribe_arguments, 1) < 0) return;
  if (mqtt_rpc_unsubscribe(given(&topic_filter, 0, scanned), &confirmed,
                           &fault) < 0) {
    fail(rpc, ctx, &fault);
  } else if (confirmed) {
    rpc->rpl_printf(ctx, "Ok. The subscription has ended.");
  } else {
    rpc->rpl_printf(ctx,
                    "Ok. The subscription has ended; the broker has not "
                    "confirmed it yet.");
  }
}

/* mqtt.reconnect */

static const char *reconnect_doc[] = {
    "Ends the connection to the broker and connects anew, at once. Parameters: "
    "[mode], graceful if not given; with abrupt the broker publishes the will.",
    NULL};

static const argument reconnect_arguments[] = {{"mode", 0}};

static void rpc_reconnect(rpc_t *rpc, void *ctx) {
  str mode;
  mqtt_fault fault;
  int scanned = rpc->scan(ctx, "*S", &mode);

  if (check_scan(rpc, ctx, scanned, reconnect_arguments, 1) < 0) return;
  if (mqtt_rpc_reconnect(given(&mode, 0, scanned), &fault) < 0) {
    fail(rpc, ctx, &fault);
    return;
  }
  rpc->rpl_printf(ctx, "Ok. Connecting anew.");
}

/* mqtt.stats */

static const char *stats_doc[] = {
    "The counters of the statistics group mqtt. Parameters: [name]. Only those "
    "whose names begin with it.",
    NULL};

static const argument stats_arguments[] = {{"name", 0}};

static int begins_with(const char *name, const str *prefix) {
  return strncmp(name, prefix->s, prefix->len) == 0;
}

static void rpc_stats(rpc_t *rpc, void *ctx) {
  str name;
  mqtt_counter counter;
  size_t index;
  void *members = NULL;
  int scanned = rpc->scan(ctx, "*S", &name);

  if (check_scan(rpc, ctx, scanned, stats_arguments, 1) < 0) return;
  for (index = 0; (counter = mqtt_describe_counter(index)).name != NULL;
       index++) {
    if (scanned == 1 && !begins_with(counter.name, &name)) continue;
    if ((members == NULL && rpc->add(ctx, "{", &members) < 0) ||
        rpc->struct_add(members, "l", counter.name, mqtt_counter_value(index)) <
            0) {
      rpc->fault(ctx, 500, "no room for the reply");
      return;
    }
  }
  if (members == NULL) rpc->fault(ctx, 400, "name: no counter begins with it");
}

static rpc_export_t commands[] = {
    {"mqtt.status", rpc_status, status_doc, 0},
    {"mqtt.subscriptions", rpc_subscriptions, subscriptions_doc, RET_ARRAY},
    {"mqtt.publish", rpc_publish, publish_doc, 0},
    {"mqtt.subscribe", rpc_subscribe, subscribe_doc, 0},
    {"mqtt.unsubscribe", rpc_unsubscribe, unsubscribe_doc, 0},
    {"mqtt.reconnect", rpc_reconnect, reconnect_doc, 0},
    {"mqtt.stats", rpc_stats, stats_doc, 0},
    {NULL, NULL, NULL, 0}};

int mqtt_rpc_init(void) {
  if (rpc_register_array(commands) == 0) return 0;
  LM_ERR("could not register the RPC commands\n");
  return -1;
}
