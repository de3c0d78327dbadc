// SPDX-License-Identifier: GPL-3.0-or-later

// Finds out before the first connection whether the TLS parameters are of use:
// reads the files as libmosquitto will, with OpenSSL.
//
// Every function returns OK or an error whose message says in words what is
// wrong; it holds neither the name nor the value of the parameter, which the
// caller puts in front. None waits for a file (a FIFO, a terminal), asks for a
// passphrase, or leaves anything in OpenSSL's error queue.
//
// Thread-safe: free functions without state.
#ifndef MQTT_CORE_TLS_CHECK_H_
#define MQTT_CORE_TLS_CHECK_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kamailio_mqtt {

// Larger files are refused. The CA certificates of all the world are a
// quarter of a megabyte.
inline constexpr size_t kMaxPemFileBytes = 4 << 20;

// The content of a regular file of at most kMaxPemFileBytes, not empty.
absl::StatusOr<std::string> ReadPemFile(const std::string& path);

// OK when `path` is a PEM file with at least one certificate.
absl::Status CheckCaFile(const std::string& path);

// OK when `path` is a directory that can be read and, if it is to verify the
// broker's certificate, holds at least one file under the kind of name by which
// OpenSSL looks for a CA: the hash that `openssl rehash` makes of it.
absl::Status CheckCaDirectory(const std::string& path, bool verifies);

// OK when OpenSSL finds a cipher in `cipher_list`, in the format of ciphers(1).
// It is for TLS 1.2 and older; those of TLS 1.3 can't be chosen.
absl::Status CheckCipherList(const std::string& cipher_list);

// OK when `path` is a PEM file with our own certificate and, after it, those of
// the CAs in between, if any. `cipher_list`, empty for the default, may set the
// security level that they have to meet.
absl::Status CheckCertificate(const std::string& path,
                              const std::string& cipher_list);

// OK when `path` is a PEM file with a private key without a passphrase.
absl::Status CheckPrivateKey(const std::string& path);

// OK when the private key belongs to the certificate, provided that both are
// fine in themselves.
absl::Status CheckKeyFitsCertificate(const std::string& private_key_path,
                                     const std::string& certificate_path);

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_TLS_CHECK_H_
