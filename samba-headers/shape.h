// SPDX-License-Identifier: GPL-3.0-or-later
// The few members of Samba's structures that vscan touches, placed where the including header says.
// Everything between them is opaque.

#include <stddef.h>
#include <stdint.h>

#define POINTER_SIZE 8

struct smb_request {
	uint8_t before_mid[SMB_REQUEST_MID];
	uint64_t mid;
	uint8_t before_xconn[SMB_REQUEST_XCONN - SMB_REQUEST_MID - 8];
	void *xconn;
	uint8_t before_smb2req[SMB_REQUEST_SMB2REQ - SMB_REQUEST_XCONN - POINTER_SIZE];
	void *smb2req;
	uint8_t rest[SIZE_SMB_REQUEST - SMB_REQUEST_SMB2REQ - POINTER_SIZE];
};

// The times are seconds and nanoseconds.
struct stat_ex {
	uint64_t st_ex_dev;
	uint64_t st_ex_ino;
	uint8_t before_size[STAT_EX_ST_EX_SIZE - STAT_EX_ST_EX_INO - 8];
	int64_t st_ex_size;
	uint8_t before_mtime[STAT_EX_ST_EX_MTIME - STAT_EX_ST_EX_SIZE - 8];
	int64_t st_ex_mtime[2];
	int64_t st_ex_ctime[2];
	uint8_t rest[SIZE_STAT_EX - STAT_EX_ST_EX_CTIME - 16];
};

struct smb_filename {
	char *base_name;
	char *stream_name;
	uint8_t before_st[SMB_FILENAME_ST - 2 * POINTER_SIZE];
	struct stat_ex st;
	uint64_t twrp;
	uint8_t rest[SIZE_SMB_FILENAME - SMB_FILENAME_TWRP - 8];
};

struct files_struct {
	uint8_t before_fsp_name[FILES_STRUCT_FSP_NAME];
	struct smb_filename *fsp_name;
	uint8_t rest[SIZE_FILES_STRUCT - FILES_STRUCT_FSP_NAME - POINTER_SIZE];
};

struct connection_struct {
	uint8_t before_connectpath[CONNECTION_STRUCT_CONNECTPATH];
	char *connectpath;
	uint8_t rest[SIZE_CONNECTION_STRUCT - CONNECTION_STRUCT_CONNECTPATH - POINTER_SIZE];
};

struct vfs_handle_struct {
	struct vfs_handle_struct *next;
	uint8_t before_conn[VFS_HANDLE_STRUCT_CONN - POINTER_SIZE];
	struct connection_struct *conn;
	uint8_t before_data[VFS_HANDLE_STRUCT_DATA - VFS_HANDLE_STRUCT_CONN - POINTER_SIZE];
	void *data;
	void (*free_data)(void **data);
};

// A table of function pointers; those between ours stay empty, and Samba goes on to the next module for them.
struct vfs_fn_pointers {
	void *connect_fn;
	void *disconnect_fn;
	void *before_openat[SLOT_OPENAT - SLOT_DISCONNECT - 1];
	void *openat_fn;
	void *create_file_fn;
	void *close_fn;
	void *rest[SIZE_VFS_FN_POINTERS / POINTER_SIZE - SLOT_CLOSE - 1];
};

// The shape must give what the facts say: a member that moved past another one stops the build here.
#define AT(type, member, fact) _Static_assert(offsetof(struct type, member) == (fact), #type "." #member)
#define SIZE(type, fact) _Static_assert(sizeof(struct type) == (fact), "size of " #type)
SIZE(smb_request, SIZE_SMB_REQUEST);
AT(smb_request, mid, SMB_REQUEST_MID);
AT(smb_request, xconn, SMB_REQUEST_XCONN);
AT(smb_request, smb2req, SMB_REQUEST_SMB2REQ);
SIZE(smb_filename, SIZE_SMB_FILENAME);
AT(smb_filename, base_name, SMB_FILENAME_BASE_NAME);
AT(smb_filename, stream_name, SMB_FILENAME_STREAM_NAME);
AT(smb_filename, st, SMB_FILENAME_ST);
AT(smb_filename, twrp, SMB_FILENAME_TWRP);
SIZE(stat_ex, SIZE_STAT_EX);
AT(stat_ex, st_ex_dev, STAT_EX_ST_EX_DEV);
AT(stat_ex, st_ex_ino, STAT_EX_ST_EX_INO);
AT(stat_ex, st_ex_size, STAT_EX_ST_EX_SIZE);
AT(stat_ex, st_ex_mtime, STAT_EX_ST_EX_MTIME);
AT(stat_ex, st_ex_ctime, STAT_EX_ST_EX_CTIME);
SIZE(files_struct, SIZE_FILES_STRUCT);
AT(files_struct, fsp_name, FILES_STRUCT_FSP_NAME);
SIZE(connection_struct, SIZE_CONNECTION_STRUCT);
AT(connection_struct, connectpath, CONNECTION_STRUCT_CONNECTPATH);
SIZE(vfs_handle_struct, SIZE_VFS_HANDLE_STRUCT);
AT(vfs_handle_struct, next, VFS_HANDLE_STRUCT_NEXT);
AT(vfs_handle_struct, conn, VFS_HANDLE_STRUCT_CONN);
AT(vfs_handle_struct, data, VFS_HANDLE_STRUCT_DATA);
AT(vfs_handle_struct, free_data, VFS_HANDLE_STRUCT_FREE_DATA);
SIZE(vfs_fn_pointers, SIZE_VFS_FN_POINTERS);
AT(vfs_fn_pointers, connect_fn, SLOT_CONNECT * POINTER_SIZE);
AT(vfs_fn_pointers, disconnect_fn, SLOT_DISCONNECT * POINTER_SIZE);
AT(vfs_fn_pointers, openat_fn, SLOT_OPENAT * POINTER_SIZE);
AT(vfs_fn_pointers, create_file_fn, SLOT_CREATE_FILE * POINTER_SIZE);
AT(vfs_fn_pointers, close_fn, SLOT_CLOSE * POINTER_SIZE);
