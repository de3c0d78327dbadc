/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The boundary between the C layer, which knows Kamailio, and the C++ core,
 * which doesn't. Nothing of Kamailio and nothing of C++ passes through it.
 *
 * Processes: mqtt_check() and mqtt_init() belong to Kamailio's main process,
 * before any fork, mqtt_report_leftover() at its end. mqtt_publish(),
 * mqtt_subscribe(), mqtt_unsubscribe() and what reads counters may be called in
 * any process after mqtt_init() and never block; so may the mqtt_rpc_
 * functions, which wait for the dispatcher, for 2 seconds at most.
 * mqtt_dispatch() is the life of the dispatcher process.
 *
 * Threads: one thread a process calls these functions, Kamailio's own. Only
 * mqtt_request_stop() may interrupt it (it is async-signal-safe), and only
 * mqtt_host.log is called from threads that the core started.
 */
#ifndef KAMAILIO_MODULE_BRIDGE_H_
#define KAMAILIO_MODULE_BRIDGE_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that the caller owns; not NUL-terminated, may contain NULs. */
typedef struct mqtt_bytes {
  const char *data;
  size_t size;
} mqtt_bytes;

/* The module parameters as the configuration gave them. A string that was not
 * set is NULL. The strings are copied. */
typedef struct mqtt_settings {
  const char *host;
  int port;
  int keepalive; /* seconds, 0: off */
  const char *id;
  const char *username;
  const char *password;
  const char *will_topic;
  const char *will;
  int will_qos;
  int will_retain;
  const char *ca_file;
  const char *ca_path;
  const char *tls_method;
  const char *tls_alpn;
  const char *certificate;
  const char *private_key;
  const char *cipher_list;
  int verify_certificate;
  const char *verify_certificate_text; /* wins over the number where set */
  int resubscribe;
  int queue_max_messages;
  int queue_max_bytes;
  const char *queue_policy;
  int queue_ttl;           /* seconds, 0: keep */
  int reconnect_delay;     /* seconds */
  int reconnect_delay_max; /* seconds */
  int connect_timeout;     /* seconds */
  int drain_timeout;       /* milliseconds */
  const char *control_address;
  int control_mode;
  const char *control_user;
  const char *control_group;
  const char *control_tls_certificate;
  const char *control_tls_private_key;
  const char *control_tls_ca;
} mqtt_settings;

/* What Kamailio itself is set to. The strings are copied. */
typedef struct mqtt_process {
  const char *runtime_dir; /* may be relative, to: */
  const char *start_dir;   /* where Kamailio was started */
  unsigned int uid; /* that it runs as, once it has dropped its privileges */
  unsigned int gid;
  int exit_timeout; /* seconds until it kills what does not stop, 0: never */
} mqtt_process;

/* Fills *settings with the documented defaults. */
void mqtt_default_settings(mqtt_settings *settings);

typedef enum mqtt_log_level {
  MQTT_LOG_ERROR,
  MQTT_LOG_WARNING,
  MQTT_LOG_NOTICE,
  MQTT_LOG_INFO,
  MQTT_LOG_DEBUG
} mqtt_log_level;

/* Writes one log line; `text` has no line end. */
typedef void (*mqtt_log_f)(mqtt_log_level level, const char *text);

/* Logs one line for every wrong setting, naming parameter, value and rule; and
 * a warning where the settings are right but there can be no control service.
 * Returns 0 where there is none, -1 else. */
int mqtt_check(const mqtt_settings *settings, const mqtt_process *process,
               mqtt_log_f log);

/* mqtt_check(), and then creates what the processes share, and the socket of
 * the control service. Logs a warning for each setting that will not work as it
 * is written. Returns 0 or -1. */
int mqtt_init(const mqtt_settings *settings, const mqtt_process *process,
              mqtt_log_f log);

/* For every process but the dispatcher's, after all forks from it or as its
 * first act: closes what only the dispatcher needs. */
void mqtt_leave_to_dispatcher(void);

/* What a script call returns; the values are the script's return codes. */
typedef enum mqtt_result {
  MQTT_ACCEPTED = 1,
  MQTT_INVALID = -1,
  MQTT_QUEUE_FULL = -2,
  MQTT_NOT_RUNNING = -3
} mqtt_result;

/* Receives the text to log for a call that was refused; empty where the line
 * is suppressed by the rate limit. */
typedef struct mqtt_refusal {
  char text[1024];
} mqtt_refusal;

/* `options` is the options string of mqtt_publish ("retain;..."), may be
 * empty. */
mqtt_result mqtt_publish(mqtt_bytes topic, mqtt_bytes payload, int qos,
                         mqtt_bytes options, mqtt_refusal *refusal);
mqtt_result mqtt_subscribe(mqtt_bytes topic_filter, int qos,
                           mqtt_refusal *refusal);
mqtt_result mqtt_unsubscribe(mqtt_bytes topic_filter, mqtt_refusal *refusal);

/* For a call that the caller finds wrong by itself: counts it as MQTT_INVALID,
 * and says so. `value` is shown unless its data is NULL. */
mqtt_result mqtt_refuse(const char *argument, mqtt_bytes value,
                        const char *rule, mqtt_refusal *refusal);

typedef enum mqtt_event_kind {
  MQTT_EVENT_CONNECTED,
  MQTT_EVENT_DISCONNECTED,
  MQTT_EVENT_MESSAGE
} mqtt_event_kind;

/* Valid while mqtt_host.run_event runs. A NUL stands behind each mqtt_bytes,
 * where Kamailio's =~ writes one. */
typedef struct mqtt_event {
  mqtt_event_kind kind;
  mqtt_bytes reason; /* MQTT_EVENT_DISCONNECTED: why, in words */
  /* MQTT_EVENT_MESSAGE: */
  mqtt_bytes topic;
  mqtt_bytes payload;
  int qos;
  int retain;
  int dup;
  int mid;      /* packet identifier, 0 at QoS 0 */
  int injected; /* 1: from the control service, 0: from the broker */
} mqtt_event;

typedef enum mqtt_run_status {
  MQTT_RUN_NO_ROUTE, /* neither an event route nor a callback is there */
  MQTT_RUN_DONE,
  MQTT_RUN_FAILED
} mqtt_run_status;

/* What the dispatcher process needs of Kamailio. */
typedef struct mqtt_host {
  const char *kamailio_version;
  /* Any thread. */
  mqtt_log_f log;
  /* Runs the event route or the KEMI callback of the event; the thread that
   * called mqtt_dispatch(). */
  mqtt_run_status (*run_event)(const mqtt_event *event);
} mqtt_host;

/* Runs the dispatcher process until mqtt_request_stop(): starts the threads,
 * connects, serves. On a stop it drains the queue until drain_timeout and
 * disconnects. Where an event route still runs by then, the process ends
 * without returning here. Returns the exit status of the process. */
int mqtt_dispatch(const mqtt_host *host);

/* A counter or gauge of the ledger; docs/admin_guide.md lists them. */
typedef struct mqtt_counter {
  const char *name;
  const char *description;
} mqtt_counter;

/* Any process, after mqtt_init(). The counter number `index`, from 0; its name
 * is NULL past the last one. The strings are never freed. */
mqtt_counter mqtt_describe_counter(size_t index);
long mqtt_counter_value(size_t index);

/* The RPC commands. `data` is NULL in arguments that were not given. Each
 * returns 0, or -1 and fills *fault. What is given to a `show` function is
 * valid while it runs; where such a function returns less than 0, there is no
 * room for more, and the command fails with that. */

/* What a fault of an RPC command says. */
typedef struct mqtt_fault {
  int code;       /* 400: wrong argument, 404: no such thing, 500: failure */
  char text[200]; /* the transports of Kamailio's RPC take little more */
} mqtt_fault;

typedef struct mqtt_queue_status {
  long messages;
  long max_messages;
  long bytes; /* of topics and payloads */
  long max_bytes;
} mqtt_queue_status;

/* A time that is not known is -1. */
typedef struct mqtt_status {
  mqtt_bytes state;   /* "connecting", "connected", "waiting", "stopped" */
  long state_seconds; /* since when that is the state */
  mqtt_bytes broker;  /* "host:port" */
  mqtt_bytes client_id;
  long failed_attempts;         /* in a row */
  mqtt_bytes disconnect_reason; /* of the last one; `data` is NULL if none */
  long disconnect_seconds;      /* since the last one */
  long next_attempt_seconds;    /* until then, while waiting */
  long uptime;                  /* of the dispatcher, in seconds */
  long subscriptions;
  mqtt_queue_status publish_queue;
  mqtt_queue_status inbound_queue;
} mqtt_status;

typedef struct mqtt_subscription {
  mqtt_bytes topic_filter;
  mqtt_bytes state; /* "pending", "active", "refused" */
  int requested_qos;
  int granted_qos;           /* -1 unless active */
  mqtt_bytes refusal_reason; /* `data` is NULL unless refused */
  mqtt_bytes origin;         /* "script", "control" */
  long messages_received;
  long payload_bytes_received;
  long last_message_seconds; /* since then, -1: none has come */
} mqtt_subscription;

typedef int (*mqtt_show_status_f)(void *context, const mqtt_status *status);
typedef int (*mqtt_show_subscription_f)(void *context,
                                        const mqtt_subscription *subscription);

int mqtt_rpc_status(mqtt_show_status_f show, void *context, mqtt_fault *fault);

/* Shows those that match `topic`, or all of them if it is empty; at most
 * `limit`, after the first `offset`. */
int mqtt_rpc_subscriptions(mqtt_bytes topic, int limit, int offset,
                           mqtt_show_subscription_f show, void *context,
                           mqtt_fault *fault);

/* As mqtt_publish(); does not wait. `qos` is a text. */
int mqtt_rpc_publish(mqtt_bytes topic, mqtt_bytes payload, mqtt_bytes qos,
                     mqtt_bytes options, mqtt_fault *fault);

/* Waits for the broker's answer while connected, and shows the subscription. */
int mqtt_rpc_subscribe(mqtt_bytes topic_filter, mqtt_bytes qos,
                       mqtt_show_subscription_f show, void *context,
                       mqtt_fault *fault);
/* *confirmed is 0 if the subscription has ended and the broker, which was
 * waited for, has not confirmed it in time. */
int mqtt_rpc_unsubscribe(mqtt_bytes topic_filter, int *confirmed,
                         mqtt_fault *fault);

/* `mode` is "graceful", the default, or "abrupt". */
int mqtt_rpc_reconnect(mqtt_bytes mode, mqtt_fault *fault);

/* The main process, once all others have ended, whether mqtt_init() was called
 * or not. Logs how many accepted messages are lost, if the dispatcher was
 * killed with some; does not block. */
void mqtt_report_leftover(void);

/* Ends mqtt_dispatch(), as soon as it runs if that is later.
 * Async-signal-safe. */
void mqtt_request_stop(void);

#ifdef __cplusplus
}
#endif

#endif /* KAMAILIO_MODULE_BRIDGE_H_ */
