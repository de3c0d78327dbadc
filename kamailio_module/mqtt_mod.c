/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * Kamailio's view of the module: its exports and parameters, what happens at
 * the start, and the dispatcher process.
 */

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/cfg/cfg_struct.h"
#include "core/dprint.h"
#include "core/globals.h"
#include "core/kemi.h"
#include "core/pt.h"
#include "core/sr_module.h"
#include "core/ver.h"
#include "kamailio_module/bridge.h"
#include "kamailio_module/mqtt_events.h"
#include "kamailio_module/mqtt_log.h"
#include "kamailio_module/mqtt_pv.h"
#include "kamailio_module/mqtt_rpc.h"
#include "kamailio_module/mqtt_script.h"
#include "kamailio_module/mqtt_statistics.h"

MODULE_VERSION

/* More than mqtt_init() opens; Kamailio sizes tables by the sum. */
#define SHARED_DESCRIPTORS 8

/* The status with which Kamailio itself refuses a configuration. */
#define REFUSED_STATUS 255

static mqtt_settings settings;
static int is_dispatcher;
static char start_dir[PATH_MAX];
static str event_callback = STR_STATIC_INIT("");

/* Plain storage: mqtt_check() judges all of it at once, when it is known. */
static param_export_t parameters[] = {
    {"host", PARAM_STRING, &settings.host},
    {"port", PARAM_INT, &settings.port},
    {"keepalive", PARAM_INT, &settings.keepalive},
    {"id", PARAM_STRING, &settings.id},
    {"username", PARAM_STRING, &settings.username},
    {"password", PARAM_STRING, &settings.password},
    {"will_topic", PARAM_STRING, &settings.will_topic},
    {"will", PARAM_STRING, &settings.will},
    {"will_qos", PARAM_INT, &settings.will_qos},
    {"will_retain", PARAM_INT, &settings.will_retain},
    {"event_callback", PARAM_STR, &event_callback},
    {"ca_file", PARAM_STRING, &settings.ca_file},
    {"ca_path", PARAM_STRING, &settings.ca_path},
    {"tls_method", PARAM_STRING, &settings.tls_method},
    {"tls_alpn", PARAM_STRING, &settings.tls_alpn},
    {"certificate", PARAM_STRING, &settings.certificate},
    {"private_key", PARAM_STRING, &settings.private_key},
    {"cipher_list", PARAM_STRING, &settings.cipher_list},
    {"verify_certificate", PARAM_INT, &settings.verify_certificate},
    {"verify_certificate", PARAM_STRING, &settings.verify_certificate_text},
    {"resubscribe", PARAM_INT, &settings.resubscribe},
    {"queue_max_messages", PARAM_INT, &settings.queue_max_messages},
    {"queue_max_bytes", PARAM_INT, &settings.queue_max_bytes},
    {"queue_policy", PARAM_STRING, &settings.queue_policy},
    {"queue_ttl", PARAM_INT, &settings.queue_ttl},
    {"reconnect_delay", PARAM_INT, &settings.reconnect_delay},
    {"reconnect_delay_max", PARAM_INT, &settings.reconnect_delay_max},
    {"connect_timeout", PARAM_INT, &settings.connect_timeout},
    {"drain_timeout", PARAM_INT, &settings.drain_timeout},
    {"control_address", PARAM_STRING, &settings.control_address},
    {"control_mode", PARAM_INT, &settings.control_mode},
    {"control_user", PARAM_STRING, &settings.control_user},
    {"control_group", PARAM_STRING, &settings.control_group},
    {"control_tls_certificate", PARAM_STRING,
     &settings.control_tls_certificate},
    {"control_tls_private_key", PARAM_STRING,
     &settings.control_tls_private_key},
    {"control_tls_ca", PARAM_STRING, &settings.control_tls_ca},
    {0}};

/* Kamailio drops its privileges after mod_init(), if it was told a user. */
static mqtt_process describe_process(void) {
  mqtt_process process = {.runtime_dir = runtime_dir,
                          .start_dir = start_dir,
                          .uid = uid != 0 ? (unsigned int)uid : geteuid(),
                          .gid = gid != 0 ? (unsigned int)gid : getegid(),
                          .exit_timeout = ser_kill_timeout};

  return process;
}

/* `kamailio -c` leaves main() before any mod_init(). A configuration that
 * Kamailio has accepted so far is therefore judged on the way out. */
static void check_on_exit(int status, void *unused) {
  mqtt_process process = describe_process();

  (void)unused;
  if (status != 0 || mqtt_check(&settings, &process, mqtt_log) == 0) return;
  LM_ERR("bad configuration: wrong parameters, see above\n");
  fflush(NULL);
  _exit(REFUSED_STATUS);
}

int mod_register(char *path, int *dlflags, void *unused1, void *unused2) {
  (void)path;
  (void)dlflags;
  (void)unused1;
  (void)unused2;
  mqtt_default_settings(&settings);
  /* Before mod_init(), Kamailio changes to its working directory. */
  if (getcwd(start_dir, sizeof(start_dir)) == NULL) start_dir[0] = '\0';
  if (config_check && on_exit(check_on_exit, NULL) != 0) {
    LM_ERR("could not register the check of the parameters\n");
    return -1;
  }
  return sr_kemi_modules_add(mqtt_kemi_functions);
}

static int mod_init(void) {
  mqtt_process process = describe_process();

  if (mqtt_init(&settings, &process, mqtt_log) < 0) return -1;
  if (mqtt_events_init(&event_callback) < 0) return -1;
  if (mqtt_statistics_init() < 0) return -1;
  if (mqtt_rpc_init() < 0) return -1;
  register_fds(SHARED_DESCRIPTORS);
  register_procs(1);
  cfg_register_child(1);
  return 0;
}

static void on_stop_signal(int number) {
  (void)number;
  mqtt_request_stop();
}

/* The life of the dispatcher process; returns its exit status. */
static int dispatch(void) {
  static const mqtt_host host = {ver_version, mqtt_log, mqtt_events_run};
  /* An event route that runs has until drain_timeout: its system calls go on
   * after the signal. */
  struct sigaction stop = {.sa_handler = on_stop_signal,
                           .sa_flags = SA_RESTART};

  is_dispatcher = 1;
  if (cfg_child_init() < 0 || init_child(PROC_RPC) < 0) {
    LM_ERR("could not initialize the dispatcher process\n");
    return EXIT_FAILURE;
  }
  cfg_update();
  mqtt_log_refresh();
  /* Kamailio's own handler would end the process at once; until here, where
   * nothing waits to be sent, that is right. */
  sigaction(SIGTERM, &stop, NULL);
  sigaction(SIGINT, &stop, NULL);
  return mqtt_dispatch(&host);
}

static int child_init(int rank) {
  sigset_t stop_signals;
  sigset_t previous;
  int pid;

  if (rank == PROC_INIT || is_dispatcher) return 0;
  if (rank != PROC_MAIN) {
    mqtt_leave_to_dispatcher();
    return 0;
  }
  /* Kamailio's handler loses a signal that reaches the new process before
   * fork_process() has marked it as a child. */
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  sigprocmask(SIG_BLOCK, &stop_signals, &previous);
  /* Not with PROC_RPC: fork_process() would initialize the modules before the
   * process has its configuration, and a failure would return as if the fork
   * had failed in the main process. The socket lets event routes send TCP. */
  pid = fork_process(PROC_NOCHLDINIT, "mqtt dispatcher", 1);
  sigprocmask(SIG_SETMASK, &previous, NULL);
  if (pid < 0) {
    LM_ERR("could not fork the dispatcher process\n");
    return -1;
  }
  /* Like Kamailio's own processes: what the main process registered with
   * atexit() is not for its children. */
  if (pid == 0) _exit(dispatch());
  mqtt_leave_to_dispatcher();
  return 0;
}

struct module_exports exports = {.name = "mqtt",
                                 .dlflags = DEFAULT_DLFLAGS,
                                 .cmds = mqtt_functions,
                                 .params = parameters,
                                 .pv_items = mqtt_pvs,
                                 .init_mod_f = mod_init,
                                 .init_child_f = child_init,
                                 .destroy_mod_f = mqtt_report_leftover};
